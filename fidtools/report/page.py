"""The page: a template, its style and scripts, and the blocks of data, in one file that asks nothing of a network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fidtools.report.blocks import Block, pack
from fidtools.report.glossary import TERMS, meaning
from fidtools.report.headline import beside_the_headline
from fidtools.report.wording import FILTERS, TESTS

FOLDER = Path(__file__).parent / "template"
VENDORED = ("vendor/d3.min.js", "vendor/plot.min.js")
SCRIPTS = ("blocks.js", "charts.js", "passages.js", "attention.js", "questions.js", "start.js")
FROM_DISK = "'self' file:"


def render(numbers: dict[str, Any], blocks: Sequence[Block], assets: str | None = None) -> str:
    """The page as HTML. `assets` is where, seen from the page, the blocks lie when they are not in it.

    Everything from data is escaped by the template, or is inside a block. The policy forbids every connection, and all
    scripts but the page's own, by their hashes (with assets: and those beside it).
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {**FILTERS, "meaning": meaning}
    environment.tests |= TESTS
    scripts = [_read(name) for name in VENDORED] + ['"use strict";\n' + "\n".join(_read(name) for name in SCRIPTS)]
    policy = " ".join([*(_hash(script) for script in scripts), *([FROM_DISK] if assets else [])])
    return environment.get_template("report.html").render(
        numbers=numbers,
        terms=TERMS,
        beside=beside_the_headline(numbers),
        style=_read("style.css"),
        scripts=scripts,
        policy=policy,
        blocks=[pack("n0", numbers), *([] if assets else blocks)],
        assets=assets or "",
    )


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
