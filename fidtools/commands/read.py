"""fidtools read: answers of a reader."""

from __future__ import annotations

from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.compute.precision import Precision


@click.command("read")
@options.questions
@options.reader
@options.output
@options.n_context
@click.option("--beams", type=click.IntRange(min=1), default=1, show_default=True, help="1 is greedy.")
@click.option("--n-best", type=click.IntRange(min=1), help="Also write the N best answers, as `predictions`.")
@click.option(
    "--keep-passages",
    type=click.IntRange(min=1),
    help="Answer from the N passages that get the highest attention among those read.",
)
@click.option("--answer-maxlength", type=click.IntRange(min=1), help="Tokens of an answer.  [default: the reader's]")
@options.precision
@options.token_budget
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
) -> None:
    """Answer QUESTIONS from their passages (`ctxs`).

    Adds `prediction` and `log_probability`, the natural log of the answer's probability. A question whose `ctxs` is
    empty is answered from the question alone.

    \b
      fidtools read dev.jsonl --reader reader -o answered.jsonl
      fidtools read dev.jsonl --reader reader --beams 3 --n-best 3 | fidtools eval
    """
    from fidtools.compute.device import Compute
    from fidtools.compute.ranks import distribute, output_on_main_rank, refuse_shared_stdin
    from fidtools.data.files import open_output
    from fidtools.data.read import read_questions
    from fidtools.logs import track
    from fidtools.reader.decoding import GenerationSettings, answer_tokens, set_answers
    from fidtools.reader.groups import Group, in_groups, with_tokens
    from fidtools.reader.model import load_inference_reader

    if (n_best or 1) > beams:
        raise click.UsageError(f"--n-best {n_best} needs at least as many --beams")
    refuse_shared_stdin(questions)
    model = load_inference_reader(
        reader, token_budget, Compute.choose(precision), n_context=n_context, answer_maxlength=answer_maxlength
    )
    if keep_passages is not None:
        model.fusion.taps.check()
    search = GenerationSettings(beams, n_best or 1, model.settings.answer_maxlength)

    def answered(group: Group) -> list[dict[str, Any]]:
        answers = answer_tokens(model, group.tokens, search, keep_passages)
        return [set_answers(question, found, n_best) for question, found in zip(group.questions, answers, strict=True)]

    with open_output(output_on_main_rank(output)) as out:
        groups = in_groups(read_questions(questions), model.settings.n_context)
        done = distribute(with_tokens(model, groups), answered)
        for line in track((line for lines in done for line in lines), "reading"):
            out.line(line)
