"""Options that several commands share, each with one meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from fidtools.compute.precision import PRECISIONS
from fidtools.logs import set_verbosity

F = TypeVar("F", bound=Callable[..., Any])

questions = click.argument("questions", type=click.Path(), default="-")
output = click.option(
    "-o", "--output", type=click.Path(), default="-", show_default="stdout", help="Where to write; .gz compresses."
)
passages = click.option(
    "-p",
    "--passages",
    required=True,
    type=click.Path(),
    help="The corpus: JSON lines with id, title, text, or DPR's .tsv.",
)
reader = click.option("--reader", required=True, type=click.Path(), help="A reader folder, or a model name on the hub.")
retriever = click.option(
    "--retriever", required=True, type=click.Path(), help="A retriever folder, or a model name on the hub."
)
top_k = click.option(
    "-k", "--k", "k", type=click.IntRange(min=1), default=100, show_default=True, help="Passages per question."
)
n_context = click.option(
    "--n-context", type=click.IntRange(min=1), help="Passages read per question, from the top.  [default: the reader's]"
)
within = click.option(
    "--within", type=click.Choice(["doc_id"]), help="Search only the passages that share this field with the question."
)
precision = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="auto: bf16 where the hardware has units for it.",
)
TOKEN_BUDGET = 16384
"""Tokens in one encoder call, unless the command line says otherwise."""
token_budget = click.option(
    "--token-budget",
    type=click.IntRange(min=1),
    default=TOKEN_BUDGET,
    show_default=True,
    help="Tokens in one encoder call; bounds memory, changes no result.",
)
seed = click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random choice.")
resume = click.option(
    "--resume", is_flag=True, help="Continue an interrupted run; start from scratch where there is none."
)


def _verbosity(ctx: click.Context, param: click.Parameter, value: int) -> int:
    key = "verbosity"
    ctx.meta[key] = ctx.meta.get(key, 0) + (value if param.name == "verbose" else -value)
    set_verbosity(ctx.meta[key])
    return value


_verbose = click.option("-v", "--verbose", count=True, expose_value=False, callback=_verbosity, help="Say more.")
_quiet = click.option(
    "-q", "--quiet", count=True, expose_value=False, callback=_verbosity, help="Say less, no progress."
)


def verbosity(function: F) -> F:
    """-v and -q: every command has them."""
    return _verbose(_quiet(function))
