"""fidtools fuse: combine several rankings into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.errors import UsageError
from fidtools.metrics.labels import LABELS

if TYPE_CHECKING:
    from fidtools.metrics.labels import Labels
    from fidtools.search.rank_fusion import Method


@click.command("fuse")
@click.argument("rankings", type=paths.input_file, nargs=-1, required=True)
@options.output
@options.top_k
@click.option(
    "--method",
    type=click.Choice(["rrf", "scores", "zscores"]),
    show_default="rrf; the best with --tune",
    help="rrf: reciprocal rank fusion; scores: sum of each list's scores, min-max normalised to 0 … 1; zscores: sum of "
    "scores divided by their standard deviation, above the list's lowest.",
)
@click.option(
    "--weight",
    "weights",
    type=values.Number(min=0),
    multiple=True,
    help="Weight of a file; give one per file, in order.  [default: 1 each]",
)
@click.option(
    "--constant",
    type=values.non_negative,
    default=60,
    show_default=True,
    help="With rrf, a passage gets 1 / (constant + rank).",
)
@click.option(
    "--tune",
    "questions",
    type=paths.input_file,
    help="Write the best method and weights for these questions, as JSON, instead of a ranking.",
)
@click.option("--labels", type=click.Choice(LABELS), help="What --tune counts as relevant.  [default: gold if present]")
@click.option("--tuned", type=paths.input_file, help="Fuse with the method and weights of a file that --tune wrote.")
@options.verbosity
def command(
    rankings: tuple[str, ...],
    output: str,
    k: int,
    method: Method | None,
    weights: tuple[float, ...],
    constant: int,
    questions: str | None,
    labels: Labels | None,
    tuned: str | None,
) -> None:
    """Combine two or more RANKINGS of the same questions, in the same order, into one.

    Passages with the same id are the same passage. The sum becomes the score `fused`; other named scores are kept. A
    name that stands for different scores in the files keeps the first file's. One of the files may be `-`.

    --tune chooses method and weights on rankings of dev questions: those with the highest mean of R@1 and R@5, by the
    questions' `gold` or `answers`. --tuned applies them to other questions, with RANKINGS in the same order.

    \b
      fidtools fuse bm25.jsonl dense.jsonl -o both.jsonl
      fidtools retrieve … | fidtools fuse bm25.jsonl - --weight 1 --weight 2
      fidtools fuse bm25.dev.jsonl dense.dev.jsonl --tune dev.jsonl -o fusion.json
      fidtools fuse bm25.test.jsonl dense.test.jsonl --tuned fusion.json -o both.test.jsonl
    """
    _check(rankings, weights, questions, tuned, method)
    if questions is not None:
        options.warn_unused("with --tune", "k")
        _tune(rankings, questions, labels, method, constant, output)
        return
    options.warn_unused("without --tune", "labels")
    if tuned or (method or "rrf") != "rrf":
        options.warn_unused("with --tuned" if tuned else f"with --method {method}", "constant")
    from fidtools.data.jsonl import write_lines
    from fidtools.logs import track
    from fidtools.search.fusion_tuning import Fusion, read_fusion
    from fidtools.search.rank_fusion import fuse

    shares = weights or (1.0,) * len(rankings)
    chosen = read_fusion(tuned) if tuned else Fusion(method or "rrf", shares, constant)
    if len(chosen.weights) != len(rankings):
        problem = f"{tuned} has {len(chosen.weights)} weights for {len(rankings)} files"
        raise UsageError(problem, hint="give the rankings in the order in which --tune had them")
    if not any(chosen.weights):
        raise UsageError("all weights are 0: every passage would get the same score", hint="give one above 0")
    fused = fuse(rankings, k, method=chosen.method, weights=chosen.weights, constant=chosen.constant)
    write_lines(output, (question.to_json() for question in track(fused, "questions")))


def _check(
    rankings: tuple[str, ...], weights: tuple[float, ...], questions: str | None, tuned: str | None, method: str | None
) -> None:
    if len(rankings) < 2:
        raise UsageError("give at least two rankings")
    if weights and len(weights) != len(rankings):
        raise UsageError(
            f"{len(weights)} values of --weight for {len(rankings)} files", hint="give one per file, in order"
        )
    if (*rankings, questions, tuned).count("-") > 1:
        raise UsageError("only one of the files can be standard input")
    if sum(map(bool, (weights, questions, tuned))) > 1:
        raise UsageError("give only one of --weight, --tune and --tuned")
    if tuned and method:
        raise UsageError("--tuned sets the method: leave --method out")


def _tune(
    rankings: tuple[str, ...], questions: str, labels: Labels | None, method: Method | None, constant: int, output: str
) -> None:
    from fidtools.data.files import open_output
    from fidtools.logs import log
    from fidtools.search.fusion_tuning import tune
    from fidtools.search.rank_fusion import METHODS

    methods = METHODS if method is None else (method,)
    best = tune(rankings, questions, labels=labels, methods=methods, constant=constant)
    figures = ", ".join(f"{name} {value:.1f}" for name, value in best.recall.items())
    log.info("%s on %d questions, by %s, with", figures, best.questions, best.labels)
    log.info("  --method %s%s", best.fusion.method, "".join(f" --weight {weight:g}" for weight in best.fusion.weights))
    with open_output(output) as out:
        out.line(best.to_json())
