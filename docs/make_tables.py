"""Write the generated tables of docs/eval.md, exports.md, formats.md and retriever.md.

Run it after changing a metric or a format, or the kinds of folder that the tests train. A table stands between
`<!-- generated: NAME -->` and `<!-- end -->`; the text around it is written by hand.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fidtools.evaluation.agreement import KINDS
from fidtools.evaluation.family import MetricFamily
from fidtools.evaluation.profiles import PROFILES
from fidtools.evaluation.registry import FAMILIES
from fidtools.evaluation.trec_metrics import IR_MEASURES
from fidtools.formats.exports import EXPORTS
from fidtools.formats.format import ALL_FIELDS, Format
from fidtools.formats.registry import FORMATS

FOLDER = Path(__file__).parent
PAGES = ("eval.md", "exports.md", "formats.md", "retriever.md")
FOLDER_TESTS = FOLDER.parent / "tests" / "retriever" / "test_sentence_folders.py"
TABLE = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def code(names: Iterable[str]) -> str:
    """Names as code, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)


def metrics() -> str:
    """Every metric family."""

    def row(family: MetricFamily) -> list[str]:
        needs = family.needs + (f"; extra `{family.extra}`" if family.extra else "")
        return [code(family.names), family.description, needs, family.unit or "0 to 1", code(family.options)]

    return table(("metric", "what it measures", "needs", "unit", "options"), map(row, (*FAMILIES, IR_MEASURES)))


def profiles() -> str:
    """Every profile."""
    rows = ((code([name]), code(profile.metrics), profile.normalizer) for name, profile in PROFILES.items())
    return table(("profile", "metrics", "normal form of EM and F1"), rows)


def agreement() -> str:
    """Every way to compare two scores."""
    rows = (
        (code([f"{name}@k" if kind.has_cutoff else name]), kind.description, kind.unit or "none")
        for name, kind in KINDS.items()
    )
    return table(("metric", "what it measures", "unit"), rows)


def formats() -> str:
    """Every format, in the order of `fidtools convert --list`."""

    def row(known: Format) -> list[str]:
        kept = "all" if known.fields_kept == ALL_FIELDS else code(sorted(known.fields_kept))
        kept += f" but {code(sorted(known.fields_lost))}" if known.fields_lost else ""
        written = kept if known.write is not None else ""
        return [code([known.name]), known.kind, ", ".join(known.access), known.description, written]

    return table(("format", "contains", "access", "description", "fields written"), map(row, FORMATS.values()))


def exports() -> str:
    """Every target of `convert --to` for embeddings, which tests/formats/test_exports.py walks over."""
    rows = (
        (
            code([name]),
            target.description,
            target.writes,
            target.loaded_by,
            target.checked_by,
            f"`{target.extra}`" if target.extra else "none",
        )
        for name, target in EXPORTS.items()
    )
    return table(("`--to`", "what is written", "`-o` names", "loaded by", "tested with", "extra"), rows)


def folders() -> str:
    """Every kind of sentence-transformers folder that the tests train: the functions of KINDS, by their docstrings."""
    body = ast.parse(FOLDER_TESTS.read_text(encoding="utf-8")).body
    described = {node.name: ast.get_docstring(node) or "" for node in body if isinstance(node, ast.FunctionDef)}
    kinds = next(
        node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "KINDS"
    )
    assert isinstance(kinds, ast.List)
    rows = (described[ast.unparse(kind)].rstrip(".").split(": ", 1) for kind in kinds.elts)
    return table(("a folder like that of", "what it has"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "metrics": metrics,
    "profiles": profiles,
    "agreement": agreement,
    "formats": formats,
    "exports": exports,
    "folders": folders,
}


def page(name: str) -> str:
    """The page with its tables as they should be."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    return TABLE.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}", text)


if __name__ == "__main__":
    for name in PAGES:
        (FOLDER / name).write_text(page(name), encoding="utf-8")
