"""fidtools score-cross: relevance of passages by a model that reads them with the question."""

from __future__ import annotations

from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.compute.precision import Precision

GROUP = 16


@click.command("score-cross")
@options.questions
@click.option("--teacher", required=True, type=click.Path(), help="A teacher's folder, or a cross-encoder by name.")
@options.output
@click.option("--name", default="cross", show_default=True, help="What the score is called under `scores`.")
@click.option("--n-passages", type=click.IntRange(min=1), help="Passages per question, from the top.  [default: all]")
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
    """Score the passages (`ctxs`) of QUESTIONS with a cross-encoder, and sort by it.

    The score is the logit of relevance. Passages beyond --n-passages follow behind without `score`.

    \b
      fidtools score-cross train.jsonl --teacher teacher -o train.scored.jsonl
      fidtools train-retriever train.scored.jsonl --teacher cross --retriever start -o retriever
    """
    from fidtools.compute.device import Compute
    from fidtools.compute.ranks import distribute, output_on_main_rank, refuse_shared_stdin
    from fidtools.data.batched import batched
    from fidtools.data.files import open_output
    from fidtools.data.read import read_questions
    from fidtools.data.records import Question
    from fidtools.logs import track
    from fidtools.teachers.model import load_teacher
    from fidtools.teachers.scoring import score_questions

    refuse_shared_stdin(questions)
    model = load_teacher(teacher, compute=Compute.choose(precision))

    def work(group: list[Question]) -> list[dict[str, Any]]:
        score_questions(model, group, name, n_passages, token_budget)
        return [question.to_json() for question in group]

    with open_output(output_on_main_rank(output)) as out:
        groups = distribute(batched(read_questions(questions), GROUP), work)
        for line in track((line for group in groups for line in group), "scoring"):
            out.line(line)
