"""fidtools score-attn: relevance of passages by a reader's cross-attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options
from fidtools.commands._kept_lines import Line
from fidtools.commands._stream import stream_through_reader
from fidtools.compute.precision import Precision
from fidtools.reader.aggregations import AGGREGATIONS, DEFAULT_AGGREGATION, NEEDS_OUTPUT

if TYPE_CHECKING:
    from fidtools.reader.groups import Group
    from fidtools.reader.reader import Reader


@click.command("score-attn")
@options.questions
@options.reader
@options.output
@options.n_context
@click.option(
    "--aggregate",
    type=click.Choice(["all", *AGGREGATIONS]),
    default=DEFAULT_AGGREGATION,
    show_default=True,
    metavar="NAME",
    help=f"The score to write, one of {', '.join(AGGREGATIONS)}; or `all`, sorted by `{DEFAULT_AGGREGATION}`.",
)
@click.option(
    "--target",
    type=click.Choice(["generated", "gold"]),
    default="generated",
    show_default=True,
    help="Answer for attention-outputs and attention-mass: the reader's, or the gold one (`target`, else the first of "
    "`answers`).",
)
@options.precision
@options.token_budget
@options.resume
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
    resume: bool,
) -> None:
    """Score passages by the reader's attention.

    The passages are the `ctxs` of QUESTIONS, which are then sorted by their score: the mean cross-attention, before
    the softmax, over a passage's tokens and the decoder's layers and heads, at the first output token (paper, section
    3.2). The other aggregations are those of Table 6, rows 1 to 5, and two of attention weighted by the norm of the
    values: the mean (attention-value-norm) and the sum without the question's tokens (attention-mass: Atlas, LiT5).

    Passages beyond --n-context are not read. They follow after the others, in their order and without `score`. Their
    earlier scores stay under `scores`, except those of the same name.

    \b
      fidtools retrieve … | fidtools score-attn --reader reader > scored.jsonl
      fidtools score-attn train.jsonl --reader reader --aggregate all -o scored.jsonl.gz
    """
    names = AGGREGATIONS if aggregate == "all" else (aggregate,)
    if not NEEDS_OUTPUT.intersection(names):
        options.warn_unused(f"with --aggregate {aggregate}", "target")

    def score(model: Reader, group: Group) -> list[Line]:
        from fidtools.reader.attention_scores import score_questions

        return [question.to_json() for question in score_questions(model, *group, names, gold=target == "gold")]

    stream_through_reader(
        questions,
        output,
        score,
        "questions scored",
        reader=reader,
        precision=precision,
        token_budget=token_budget,
        resume=resume,
        n_context=n_context,
        needs_attention=True,
    )
