"""fidtools fuse: combine several rankings into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options
from fidtools.commands import _types as types
from fidtools.errors import UsageError

if TYPE_CHECKING:
    from fidtools.search.rank_fusion import Method


@click.command("fuse")
@click.argument("rankings", type=types.input_file, nargs=-1, required=True)
@options.output
@options.top_k
@click.option(
    "--method",
    type=click.Choice(["rrf", "scores"]),
    default="rrf",
    show_default=True,
    help="rrf: reciprocal rank fusion; scores: sum of each list's scores, min-max normalised to 0 … 1.",
)
@click.option(
    "--weight",
    "weights",
    type=types.Number(min=0),
    multiple=True,
    help="Weight of a file; give one per file, in order.  [default: 1 each]",
)
@click.option(
    "--constant",
    type=types.non_negative,
    default=60,
    show_default=True,
    help="With rrf, a passage gets 1 / (constant + rank).",
)
@options.verbosity
def command(
    rankings: tuple[str, ...], output: str, k: int, method: Method, weights: tuple[float, ...], constant: int
) -> None:
    """Combine two or more RANKINGS of the same questions, in the same order, into one.

    Passages with the same id are the same passage. The sum becomes the score `fused`; the other scores are kept. One of
    the files may be `-`.

    \b
      fidtools fuse bm25.jsonl dense.jsonl -o both.jsonl
      fidtools retrieve … | fidtools fuse bm25.jsonl - --weight 1 --weight 2
    """
    if len(rankings) < 2:
        raise UsageError("give at least two rankings")
    if weights and len(weights) != len(rankings):
        raise UsageError(
            f"{len(weights)} values of --weight for {len(rankings)} files", hint="give one per file, in order"
        )
    if rankings.count("-") > 1:
        raise UsageError("only one of the files can be standard input")
    from fidtools.data.jsonl import write_lines
    from fidtools.logs import track
    from fidtools.search.rank_fusion import fuse

    fused = fuse(rankings, k, method=method, weights=weights or None, constant=constant)
    write_lines(output, (question.to_json() for question in track(fused, "questions")))
