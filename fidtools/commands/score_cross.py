"""fidtools score-cross: relevance of passages by a cross-encoder."""

from __future__ import annotations

import click

from fidtools.commands import _options as options
from fidtools.commands import _types as types
from fidtools.commands._stream import Line, stream_groups
from fidtools.compute.precision import Precision

GROUP = 16
"""Questions whose pairs are sorted into batches together."""


@click.command("score-cross")
@options.questions
@click.option("--teacher", required=True, type=types.name, help="A teacher folder, or a cross-encoder on the hub.")
@options.output
@click.option("--name", default="cross", show_default=True, help="Name of the score under `scores`.")
@click.option("--n-passages", type=types.positive, help="Passages scored per question, in order.  [default: all]")
@options.precision
@options.token_budget
@options.verbosity
def command(
    questions: str,
    teacher: str,
    output: str,
    name: str,
    n_passages: int | None,
    precision: Precision,
    token_budget: int,
) -> None:
    """Score passages with a cross-encoder.

    The passages are the `ctxs` of QUESTIONS, which are then sorted by their score, the logit of relevance. Passages
    beyond --n-passages follow after the others without `score`.

    \b
      fidtools score-cross train.jsonl --teacher teacher -o train.scored.jsonl
      fidtools train-retriever train.scored.jsonl --teacher cross --retriever start -o retriever
    """
    from fidtools.compute.device import Compute
    from fidtools.data.batched import batched
    from fidtools.data.records import Question
    from fidtools.teachers.model import Teacher, load_teacher, report_cuts
    from fidtools.teachers.scoring import score_questions

    def score(model: Teacher, group: list[Question]) -> list[Line]:
        score_questions(model, group, name, n_passages, token_budget)
        return [question.to_json() for question in group]

    stream_groups(
        questions,
        output,
        load=lambda: load_teacher(teacher, compute=Compute.choose(precision)),
        groups=lambda _, stream: batched(stream, GROUP),
        work=score,
        progress="questions scored",
        report=lambda model: report_cuts(model, shared=True),
    )
