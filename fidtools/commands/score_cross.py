"""fidtools score-cross: relevance of passages by a cross-encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.commands._kept_lines import Line
from fidtools.commands._stream import stream_groups
from fidtools.compute.precision import Precision
from fidtools.data.prompt_templates import RERANKER_INSTRUCTION, RERANKER_PROMPT, RERANKER_WORDS
from fidtools.errors import UsageError

if TYPE_CHECKING:
    from fidtools.compute.device import Compute
    from fidtools.teachers.interface import Teacher

GROUP = 16
"""Questions whose pairs are sorted into batches together."""


@click.command("score-cross")
@options.questions
@click.option(
    "--teacher",
    required=True,
    type=paths.model,
    help="Teacher folder, cross-encoder, or reranker that answers yes or no.",
)
@options.output
@click.option(
    "--name", default="cross", type=values.score_name, show_default=True, help="Name of the score under `scores`."
)
@click.option("--n-passages", type=values.positive, help="Passages scored per question, in order.  [default: all]")
@click.option("--words", help="Words of a reranker for relevant and not relevant.  [default: yes,no]")
@click.option("--instruction", help="Task of a reranker that answers with words.  [default: Qwen3-Reranker's]")
@click.option(
    "--prompt",
    help="Template of a reranker that answers with words: {instruction}, {question}, {passage}.  "
    "[default: Qwen3-Reranker's]",
)
@options.precision
@options.token_budget
@options.resume
@options.verbosity
def command(
    questions: str,
    teacher: str,
    output: str,
    name: str,
    n_passages: int | None,
    words: str | None,
    instruction: str | None,
    prompt: str | None,
    precision: Precision,
    token_budget: int,
    resume: bool,
) -> None:
    """Score passages with a cross-encoder.

    The passages are the `ctxs` of QUESTIONS, which are then sorted by their score, the logit of relevance. Passages
    beyond --n-passages follow after the others without `score`.

    A causal language model is asked whether a passage is relevant: the score is the logit of `yes` minus that of `no`,
    so that its sigmoid is the probability that Qwen3-Reranker's authors compute.

    \b
      fidtools score-cross train.jsonl --teacher teacher -o train.scored.jsonl
      fidtools train-retriever train.scored.jsonl --teacher cross --retriever start -o retriever
      fidtools score-cross train.jsonl --teacher Qwen/Qwen3-Reranker-0.6B -o train.scored.jsonl
    """
    from fidtools.compute.device import Compute
    from fidtools.data.batched import batched
    from fidtools.data.records import Question
    from fidtools.teachers.interface import report_cuts
    from fidtools.teachers.scoring import score_questions

    def score(model: Teacher, group: list[Question]) -> list[Line]:
        score_questions(model, group, name, n_passages, token_budget)
        return [question.to_json() for question in group]

    stream_groups(
        questions,
        output,
        load=lambda: _load(teacher, Compute.choose(precision), words, instruction, prompt),
        cut=lambda _, stream: batched(stream, GROUP),
        work=score,
        progress="questions scored",
        report=lambda model: report_cuts(model, shared=True),
        resume=resume,
    )


def _load(name: str, compute: Compute, words: str | None, instruction: str | None, prompt: str | None) -> Teacher:
    """A cross-encoder, or a reranker that answers with words, to which the last three options apply."""
    from fidtools.teachers.teacher_folder import load_teacher
    from fidtools.teachers.word_reranker import RerankerPrompt, answers_with_words, load_word_reranker

    if answers_with_words(name):
        if instruction is not None and prompt is not None and "{instruction}" not in prompt:
            raise UsageError("--instruction has no effect: --prompt has no {instruction}")
        pair = RERANKER_WORDS if words is None else _two(words)
        settings = RerankerPrompt(prompt or RERANKER_PROMPT, instruction or RERANKER_INSTRUCTION, pair)
        return load_word_reranker(name, settings, compute=compute)
    if (words, instruction, prompt) != (None, None, None):
        hint = "a cross-encoder has a classification head instead"
        raise UsageError("--words, --instruction and --prompt are for causal language models", hint=hint)
    return load_teacher(name, compute=compute)


def _two(words: str) -> tuple[str, str]:
    first, _, second = words.partition(",")
    if not first or not second or "," in second or first == second:
        raise UsageError(f"--words {words}: expected two different words, such as yes,no")
    return first, second
