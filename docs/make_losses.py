"""Write the table of losses in docs/retriever.md from the registry of losses. Run it after changing a loss."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fidtools.retriever.losses import LOSSES, LossSpec

PAGE = Path(__file__).with_name("retriever.md")
TABLE = re.compile(r"(?<=<!-- losses -->\n).*?(?=<!-- end of losses -->)", re.DOTALL)


def _options(spec: LossSpec) -> str:
    flags = {name: f"--{name.replace('_', '-')}" for name in spec.defaults}
    values = {name: "" if value is False or value is None else f" {value:g}" for name, value in spec.defaults.items()}
    return ", ".join(f"`{flags[name]}{values[name]}`" for name in spec.defaults)


def _needs(spec: LossSpec) -> str:
    return " and ".join(
        name for name, needed in (("teacher", spec.needs_teacher), ("labels", spec.needs_labels)) if needed
    )


def table() -> Iterator[str]:
    """The lines of the table, with defaults as values of the options."""
    yield "| `--loss` | per question | options | learns from | source |\n"
    yield "|---|---|---|---|---|\n"
    for name, spec in LOSSES.items():
        yield f"| `{name}` | {spec.description} | {_options(spec)} | {_needs(spec)} | {spec.source} |\n"


def page() -> str:
    """The whole page, with the table renewed."""
    return TABLE.sub("".join(table()), PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
