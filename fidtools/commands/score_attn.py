"""fidtools score-attn: relevance of passages by a reader's cross-attention."""

from __future__ import annotations

from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.compute.precision import Precision

AGGREGATIONS = (
    "attention",
    "attention-max-token",
    "attention-outputs",
    "attention-last-layers",
    "attention-max-layer",
    "attention-max-head",
    "attention-value-norm",
)


@click.command("score-attn")
@options.questions
@options.reader
@options.output
@options.n_context
@click.option(
    "--aggregate",
    type=click.Choice(["all", *AGGREGATIONS]),
    default="attention",
    show_default=True,
    help="Which scores to write; `all` writes every one and sorts by `attention`.",
)
@click.option(
    "--target",
    type=click.Choice(["generated", "gold"]),
    default="generated",
    show_default=True,
    help="The output tokens for attention-outputs: the reader's own answer, or `target` (else the first of `answers`).",
)
@options.precision
@options.token_budget
@options.verbosity
def command(
    questions: str,
    reader: str,
    output: str,
    n_context: int | None,
    aggregate: str,
    target: str,
    precision: Precision,
    token_budget: int,
) -> None:
    """Score the passages (`ctxs`) of QUESTIONS by the reader's attention to them, and sort by it.

    The score is the mean cross-attention, before the softmax, over a passage's tokens, the decoder's layers and heads
    at the first output token (paper, section 3.2). The other aggregations are those of Table 6, rows 1 to 5 in order,
    and Atlas's attention weighted by the norm of the values.

    Passages beyond --n-context are not read. They follow behind, in their order and without `score`; the scores they
    had stay under `scores`.

    \b
      fidtools retrieve … | fidtools score-attn --reader reader > scored.jsonl
      fidtools score-attn train.jsonl --reader reader --aggregate all -o scored.jsonl.gz
    """
    from fidtools.compute.device import Compute
    from fidtools.compute.ranks import distribute, output_on_main_rank, refuse_shared_stdin
    from fidtools.data.files import open_output
    from fidtools.data.read import read_questions
    from fidtools.logs import track
    from fidtools.reader.groups import Group, in_groups, with_tokens
    from fidtools.reader.model import load_inference_reader
    from fidtools.reader.scoring import scored

    refuse_shared_stdin(questions)
    model = load_inference_reader(reader, token_budget, Compute.choose(precision), n_context=n_context)
    model.fusion.taps.check()
    names = AGGREGATIONS if aggregate == "all" else (aggregate,)

    def work(group: Group) -> list[dict[str, Any]]:
        return [question.to_json() for question in scored(model, *group, names, gold=target == "gold")]

    with open_output(output_on_main_rank(output)) as out:
        groups = in_groups(read_questions(questions), model.settings.n_context)
        done = distribute(with_tokens(model, groups), work)
        for line in track((line for lines in done for line in lines), "scoring"):
            out.line(line)
