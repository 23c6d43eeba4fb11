"""A BEIR corpus is told from queries, whatever its titles are."""

from __future__ import annotations

from pathlib import Path

import pytest

from fidtools.data.files import open_output
from fidtools.formats.lookup import detect_format, read_all


@pytest.mark.parametrize(
    ("name", "line", "known"),
    [
        ("docs.jsonl", '{"_id": "d", "title": null, "text": "t"}', "beir-corpus"),
        ("docs.jsonl", '{"_id": "d", "title": "", "text": "t"}', "beir-corpus"),
        ("corpus.jsonl", '{"_id": "d", "text": "t"}', "beir-corpus"),
        ("corpus.jsonl.gz", '{"_id": "d", "text": "t"}', "beir-corpus"),
        ("queries.jsonl", '{"_id": "d", "text": "t"}', "beir-queries"),
        ("queries.jsonl", '{"_id": "d", "text": "t", "metadata": {"title": null}}', "beir-queries"),
    ],
)
def test_a_corpus_without_titles_is_no_file_of_queries(name: str, line: str, known: str, tmp_path: Path) -> None:
    with open_output(tmp_path / name) as out:
        out.write(f"{line}\n".encode())
    found = detect_format(tmp_path / name)
    assert found.name == known
    (record,) = read_all(tmp_path / name, found.kind)
    assert record.id == "d"
    assert (record.text if found.kind == "passages" else record.question) == "t"
