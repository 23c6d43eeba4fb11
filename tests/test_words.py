"""Plain words: no phrase that a reader would have to translate, in help, messages and docs; and every line fits."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from fidtools import cli
from fidtools.commands import SUMMARIES
from tests.faults.test_options import EVERY

ROOT = Path(__file__).resolve().parents[1]
HELP_WIDTH, SUMMARY_WIDTH = 100, 45

ODD = {
    r"\bsay (more|less)\b": "more/less log output",
    r"\bupdates of rising rate\b": "learning-rate warm-up steps",
    r"\bgreatest norm of the gradient\b": "clip gradients to this norm",
    r"\bquestions an update\b": "questions per update",
    r"\bwithout gain\b": "without improvement",
    r"\b(start a .* anew|begin(s|ning)? anew|drawing .* anew|start(s|ed)? anew)\b": "from scratch; resampling",
    r"\bencode again going back\b": "recompute in the backward pass",
    r"\bless memory, a third more time\b": "less memory, about a third slower",
    r"\blog there too\b": "also log to",
    r"\bshall (take|be|have)\b": "to make …; must",
    r"\bsearch although\b": "search even if",
    r"^instead: how\b": "report … instead of",
    r"\bor luck\b": "significance",
    r"\bis (said|told)\b": "is reported, is detected",
    r"\bare (said|told)\b": "are reported",
    r"\bin the way\b": "already exists",
    r"\brun was another one\b": "used other settings",
    r"\bnot to be had\b": "unavailable",
    r"\bdo not make the whole\b": "checksum mismatch",
    r"\b(not a|no) whole (gzip|file|archive|pickle|\.npy)": "truncated or corrupt",
    r"\bmust be a text\b": "must be a string",
    r"\bwhole numbers?\b": "integer",
    r"\bholds more than tensors\b": "contains objects other than tensors",
    r"\bon no line\b": "does not occur in the file",
    r"\bis read by no other\b": "cannot be converted",
    r"\bto choose by\b": "validating on",
    r"\bcannot be written to, so\b": "is not writable",
    r"\bwas made of something else\b": "was built from other passages",
    r"\bonly approximately or not\b": "cannot be reconstructed exactly",
    r"\ba new head, to be trained\b": "newly initialised",
    r"\bwhat scores would teach\b": "diagnose a teacher's scores",
    r"\bmarks? of byte order\b": "byte-order mark",
    r"\bbrings its own\b": "already has",
    r"\ba field name away\b": "can be named in",
    r"\b(falling|rising) (score|order|rate|rank)s?\b": "descending, ascending",
    r"\blost probability\b": "negative log-likelihood",
    r"\beffective number of (the )?target\b": "perplexity",
    r"\bat hand in\b|\bcrowded\b|\bsieve\b|\bsurvivors\b": "the field's term",
    r"\bspelled out attention\b": "eager attention",
    r"\bto tell apart\b": "to distinguish",
    r"\bis not opened\b": "refused for safety",
    r"\blooked through every time\b": "rebuilt on every run",
}
"""Phrases of the code's first year (patterns, any case), and how to put it instead."""


@cache
def help_of(name: str) -> str:
    context = click.Context(EVERY[name], info_name=f"fidtools {name}", max_content_width=HELP_WIDTH)
    return EVERY[name].get_help(context)


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """The literal texts of a module, docstrings included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def odd_in(text: str) -> list[str]:
    plain = " ".join(text.split())
    return [
        f"{found[0]!r}: better {better!r}"
        for pattern, better in ODD.items()
        for found in re.finditer(pattern, plain, re.IGNORECASE)
    ]


MODULES = sorted((ROOT / "fidtools").rglob("*.py"))
PATTERNS = ("docs/*.md", "docs/how-to/*.md")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(p for each in PATTERNS for p in ROOT.glob(each))]


def test_the_phrases_are_found():
    assert odd_in("the run is\nin the Way") == ["'in the Way': better 'already exists'"]


@pytest.mark.parametrize("name", EVERY)
def test_help_is_in_plain_words(name):
    assert not odd_in(help_of(name))


def test_messages_and_docstrings_are_in_plain_words():
    odd = [
        f"{path.relative_to(ROOT)}:{line}: {each}"
        for path in MODULES
        for line, text in strings(path)
        for each in odd_in(text)
    ]
    assert not odd, "\n".join(odd)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_docs_are_in_plain_words(page):
    paragraphs = re.split(r"\n\s*\n", page.read_text(encoding="utf-8"))
    assert not [each for paragraph in paragraphs for each in odd_in(paragraph)]


@pytest.mark.parametrize("name", EVERY)
def test_every_line_of_help_fits(name):
    assert not [line for line in help_of(name).splitlines() if len(line) > HELP_WIDTH]


@pytest.mark.parametrize("name", EVERY)
def test_every_option_has_help(name):
    silent = [option.opts for option in EVERY[name].params if isinstance(option, click.Option) and not option.help]
    assert not silent


def test_every_summary_fits():
    assert not [summary for summary in SUMMARIES.values() if len(summary) > SUMMARY_WIDTH]
    groups = [command for command in map(cli.load_command, SUMMARIES) if isinstance(command, click.Group)]
    inner = [command.get_short_help_str(200) for group in groups for command in group.commands.values()]
    assert not [summary for summary in inner if len(summary) > SUMMARY_WIDTH]
