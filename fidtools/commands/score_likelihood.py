"""fidtools score-likelihood: relevance of passages by how likely they make the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options
from fidtools.commands._stream import Line, stream_through_reader
from fidtools.compute.precision import Precision

if TYPE_CHECKING:
    from fidtools.reader.groups import Group
    from fidtools.reader.model import Reader


@click.command("score-likelihood")
@options.questions
@options.reader
@options.output
@options.n_context
@click.option("--leave-one-out", is_flag=True, help="Score by how much less likely the answer is without the passage.")
@click.option(
    "--target",
    type=click.Choice(["gold", "generated"]),
    default="gold",
    show_default=True,
    help="Answer to score: the gold one (`target`, else the first of `answers`), or the reader's own.",
)
@options.precision
@options.token_budget
@options.verbosity
def command(
    questions: str,
    reader: str,
    output: str,
    n_context: int | None,
    leave_one_out: bool,
    target: str,
    precision: Precision,
    token_budget: int,
) -> None:
    """Score passages by the answer's likelihood.

    The passages are the `ctxs` of QUESTIONS, which are then sorted by their score. `likelihood` is
    log p(answer | question, passage) in nats, each passage read alone. With --leave-one-out the score is
    `leave-one-out`: log p(answer | all passages) minus log p(answer | all other passages). Passages beyond --n-context
    follow after the others without `score`, as in score-attn.

    \b
      fidtools score-likelihood train.jsonl --reader reader -o scored.jsonl
    """

    def score(model: Reader, group: Group) -> list[Line]:
        from fidtools.reader.likelihood import LEAVE_ONE_OUT, LIKELIHOOD, score_questions_by_likelihood

        name = LEAVE_ONE_OUT if leave_one_out else LIKELIHOOD
        scored = score_questions_by_likelihood(model, *group, name, gold=target == "gold")
        return [question.to_json() for question in scored]

    stream_through_reader(
        questions,
        output,
        score,
        "scoring",
        reader=reader,
        precision=precision,
        token_budget=token_budget,
        n_context=n_context,
    )
