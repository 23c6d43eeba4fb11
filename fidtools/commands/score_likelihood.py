"""fidtools score-likelihood: relevance of passages by how likely they make the answer."""

from __future__ import annotations

from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.compute.precision import Precision


@click.command("score-likelihood")
@options.questions
@options.reader
@options.output
@options.n_context
@click.option("--leave-one-out", is_flag=True, help="How much less likely the answer is without the passage.")
@click.option(
    "--target",
    type=click.Choice(["gold", "generated"]),
    default="gold",
    show_default=True,
    help="Whose likelihood: `target` (else the first of `answers`), or the reader's own answer.",
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
    """Score the passages (`ctxs`) of QUESTIONS by the answer's likelihood, and sort by it.

    The score `likelihood` is log p(answer | question, passage) in nats, every passage read by itself. With
    --leave-one-out it is `leave-one-out`: log p(answer | all passages) less log p(answer | all the others).
    Passages beyond --n-context follow behind without `score`, as in score-attn.

    \b
      fidtools score-likelihood train.jsonl --reader reader -o scored.jsonl
    """
    from fidtools.compute.device import Compute
    from fidtools.compute.ranks import distribute, output_on_main_rank, refuse_shared_stdin
    from fidtools.data.files import open_output
    from fidtools.data.read import read_questions
    from fidtools.logs import track
    from fidtools.reader.groups import Group, in_groups, with_tokens
    from fidtools.reader.likelihood import ALONE, LEFT_OUT, with_likelihoods
    from fidtools.reader.model import load_inference_reader

    refuse_shared_stdin(questions)
    model = load_inference_reader(reader, token_budget, Compute.choose(precision), n_context=n_context)
    name = LEFT_OUT if leave_one_out else ALONE

    def work(group: Group) -> list[dict[str, Any]]:
        return [question.to_json() for question in with_likelihoods(model, *group, name, gold=target == "gold")]

    with open_output(output_on_main_rank(output)) as out:
        groups = in_groups(read_questions(questions), model.settings.n_context)
        done = distribute(with_tokens(model, groups), work)
        for line in track((line for lines in done for line in lines), "scoring"):
            out.line(line)
