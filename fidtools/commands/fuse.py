"""fidtools fuse: several rankings as one."""

from __future__ import annotations

from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.errors import UsageError


@click.command("fuse")
@click.argument("rankings", type=click.Path(), nargs=-1, required=True)
@options.output
@options.top_k
@click.option(
    "--method",
    type=click.Choice(["rrf", "scores"]),
    default="rrf",
    show_default=True,
    help="rrf: reciprocal ranks; scores: each list's scores stretched to 0 … 1.",
)
@click.option("--weight", "weights", type=float, multiple=True, help="Of a file, once for each.  [default: 1 each]")
@click.option(
    "--constant", type=click.IntRange(min=0), default=60, show_default=True, help="rrf adds 1 / (constant + rank)."
)
@options.verbosity
def command(
    rankings: tuple[str, ...], output: str, k: int, method: Any, weights: tuple[float, ...], constant: int
) -> None:
    """Fuse two or more RANKINGS of the same questions, in the same order, into one.

    A passage is the same where its id is. The sum is kept as `fused`, beside the scores that the passage had. One of
    the files may be `-`.

    \b
      fidtools fuse bm25.jsonl dense.jsonl -o both.jsonl
      fidtools retrieve … | fidtools fuse bm25.jsonl - --method scores --weight 0.3 --weight 0.7 | fidtools eval
    """
    if len(rankings) < 2:
        raise UsageError("there is nothing to fuse in a single file")
    if weights and len(weights) != len(rankings):
        raise UsageError(f"{len(weights)} times --weight for {len(rankings)} files", hint="give one for each, in order")
    if rankings.count("-") > 1:
        raise UsageError("standard input can be only one of the files")
    from fidtools.data.jsonl import write_lines
    from fidtools.logs import track
    from fidtools.search.rank_fusion import fuse

    fused = fuse(rankings, k, method=method, weights=weights or None, constant=constant)
    write_lines(output, (question.to_json() for question in track(fused, "questions")))
