"""A hook of mkdocs: pages outside of docs/ become part of the site, and links to them lead there.

Pages link to each other by their places in the repository. The site has the pages outside of docs/ below `repository/`.
A link to a folder leads to its README, or to its files' common place where it has none; other files are not on the
site, so their names are shown without a link.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
DOCS = Path(__file__).resolve().parent
PATTERNS = ("*.md", "examples/**/*.md", "benchmarks/*.md", "tests/golden/*.md")
ELSEWHERE = "repository"
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")


def pages() -> list[Path]:
    """The pages outside of docs/."""
    return sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))


def on_files(files: Any, config: Any) -> Any:
    """Add them."""
    for path in pages():
        files.append(File.generated(config, site_name(path), abs_src_path=str(path)))
    for path in (DOCS / "decisions").glob("*.md"):
        assert files.get_file_from_path(path.relative_to(DOCS).as_posix()) is not None
    return files


def site_name(path: Path) -> str:
    """Where a file of the repository is on the site, relative to its root."""
    return (Path(ELSEWHERE) / path.relative_to(ROOT) if DOCS not in path.parents else path.relative_to(DOCS)).as_posix()


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite the links of a page."""
    source = Path(page.file.abs_src_path)

    def rewritten(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / link["target"]))
        target = target / "README.md" if target.is_dir() else target
        if not target.is_file() or files.get_file_from_path(name := site_name(target)) is None:
            return link["text"]
        here = Path(page.file.src_uri).parent
        return f"[{link['text']}]({Path(os.path.relpath(name, here)).as_posix()}{link['anchor'] or ''})"

    return LINK.sub(rewritten, markdown)
