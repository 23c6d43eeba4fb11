"""Every term that a newcomer meets on the page is explained on it."""

from __future__ import annotations

import pytest

from fidtools.cli import run
from fidtools.report.glossary import TERMS, meaning


@pytest.mark.parametrize(
    ("heading", "term"),
    [
        ("EM", "EM"),
        ("R@20", "R@k"),
        ("gold-R@5", "gold-R@k"),
        ("AUC, gold", "AUC"),
        ("best temperature", "temperature"),
        ("overlap@5", "overlap@k"),
        ("cover@1", "cover@k"),
    ],
)
def test_a_heading_has_the_meaning_of_its_term(heading, term):
    assert meaning(heading) == TERMS[term]


def test_a_heading_of_another_meaning_has_none():
    assert meaning("system") == ""
    assert meaning("KILT-EM") == ""


def test_the_page_explains_its_terms_in_a_list_and_at_the_headings(run_folder, tmp_path):
    assert run(["report", str(run_folder), "-o", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for name in TERMS:
        assert f"<dt>{name}</dt>" in page
    assert '<th scope="col" class="n main" title="Exact match: ' in page
    assert '<dt title="Over how many passages the teacher spreads' in page
    assert (
        '<dt title="The share of the first k passages that two rankings have in common.">overlap@1 with bm25</dt>'
        in page
    )
