"""fidtools read: answers of a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options
from fidtools.commands import _value_types as values
from fidtools.commands._kept_lines import Line
from fidtools.commands._stream import stream_through_reader
from fidtools.compute.precision import Precision

if TYPE_CHECKING:
    from fidtools.reader.groups import Group
    from fidtools.reader.reader import Reader


@click.command("read")
@options.questions
@options.reader
@options.output
@options.n_context
@click.option("--beams", type=values.Count(most=1000), default=1, show_default=True, help="Beam size; 1 is greedy.")
@click.option("--n-best", type=values.positive, help="Also write the N best answers as `predictions`.")
@click.option(
    "--keep-passages",
    type=values.positive,
    help="Answer from the N passages with the highest attention among those read.",
)
@click.option("--answer-maxlength", type=values.tokens, help="Tokens per answer at most.  [default: the reader's]")
@options.precision
@options.token_budget
@options.resume
@options.verbosity
def command(
    questions: str,
    reader: str,
    output: str,
    n_context: int | None,
    beams: int,
    n_best: int | None,
    keep_passages: int | None,
    answer_maxlength: int | None,
    precision: Precision,
    token_budget: int,
    resume: bool,
) -> None:
    """Answer questions from their passages.

    Adds `prediction` and `log_probability`, the natural logarithm of the answer's probability, to QUESTIONS with
    passages (`ctxs`). A question whose `ctxs` is empty is answered from the question alone.

    \b
      fidtools read dev.jsonl --reader reader -o answered.jsonl
      fidtools read dev.jsonl --reader reader --beams 3 --n-best 3 | fidtools eval
    """
    if (n_best or 1) > beams:
        raise click.UsageError(f"--n-best {n_best} needs at least as many --beams")

    def answer(model: Reader, group: Group) -> list[Line]:
        from fidtools.reader.answering import answer_tokens, set_answers
        from fidtools.reader.decoding import GenerationSettings

        settings = GenerationSettings(beams, n_best or 1, model.settings.answer_maxlength)
        answers = answer_tokens(model, group.tokens, settings, keep_passages)
        return [set_answers(question, found, n_best) for question, found in zip(group.questions, answers, strict=True)]

    stream_through_reader(
        questions,
        output,
        answer,
        "questions answered",
        reader=reader,
        precision=precision,
        token_budget=token_budget,
        resume=resume,
        n_context=n_context,
        answer_maxlength=answer_maxlength,
        needs_attention=keep_passages is not None,
    )
