"""The pages as a site: mkdocs builds it without a warning, with the pages outside of docs/ and the links to them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("mkdocs", reason="the site needs mkdocs: bin/setup docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "mkdocs.yml"), "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_of_the_documentation_is_on_the_site(site):
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    names = [page.with_suffix("") if page.name != "README.md" else page.parent for page in pages]
    assert not [name for name in names if not (site / name / "index.html").is_file()]


def test_links_out_of_docs_lead_to_pages_of_the_site(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    for target in ("examples/mydocs", "benchmarks", "benchmarks/search", "CONTRIBUTING"):
        assert f'href="repository/{target}/"' in home
        assert (site / "repository" / target / "index.html").is_file()


def test_every_link_inside_of_the_site_leads_to_a_file(site):
    lost = []
    for page in site.rglob("*.html"):
        for target in re.findall(r'href="(?!\w+:|//)([^"#?]+)', page.read_text(encoding="utf-8")):
            found = site / target.lstrip("/") if target.startswith("/") else page.parent / target
            if not (found.is_file() or (found / "index.html").is_file()):
                lost.append(f"{page.relative_to(site)}: {target}")
    assert not lost


def test_the_navigation_names_every_how_to():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs" / "how-to").glob("*.md"):
        assert f"how-to/{page.name}" in navigation
        assert f"how-to/{page.name}" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
