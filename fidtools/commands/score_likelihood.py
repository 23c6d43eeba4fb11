"""fidtools score-likelihood: relevance of passages by how likely they make the answer, or the question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.commands._kept_lines import Line
from fidtools.commands._stream import stream_groups, stream_through_reader
from fidtools.compute.precision import Precision
from fidtools.data.prompt_templates import DEFAULT_PROMPTS, ENCODER_QUESTION_PROMPT, Target, check_template
from fidtools.errors import UsageError

if TYPE_CHECKING:
    from fidtools.data.records import Question
    from fidtools.language_models.scoring import LikelihoodScorer
    from fidtools.reader.groups import Group
    from fidtools.reader.reader import Reader

    Work = Callable[[Reader, Group], list[Line]]

LM_TOKEN_BUDGET = 4096
"""Tokens in one call of a causal language model: more were slower on a CPU, whose caches they exceed."""

LM_GROUP = 64, 1024
"""Questions and passages that a causal language model scores together: a passage of several of them is read once."""


@click.command("score-likelihood")
@options.questions
@click.option(
    "--reader",
    required=True,
    type=paths.model,
    help="Reader folder or causal language model: a folder, a model name on the hub, or smollm.",
)
@options.output
@options.n_context
@click.option(
    "--of",
    type=click.Choice(["answer", "question"]),
    default="answer",
    show_default=True,
    help="Text whose likelihood is the score. The question needs no answers.",
)
@click.option("--per-token", is_flag=True, help="Mean over the tokens instead of their sum.")
@click.option("--leave-one-out", is_flag=True, help="Score by how much less likely the answer is without the passage.")
@click.option(
    "--target",
    type=click.Choice(["gold", "generated"]),
    default="gold",
    show_default=True,
    help="Answer to score: the gold one (`target`, else the first of `answers`), or the reader's own.",
)
@click.option("--prompt", help="Template in front of the scored text, with the fields {title}, {text}, {question}.")
@click.option("--chat", is_flag=True, help="Put the prompt through the language model's chat template.")
@click.option(
    "--text-maxlength",
    type=values.tokens,
    default=250,
    show_default=True,
    help="Tokens read of a passage's text by a causal language model.",
)
@options.precision
@click.option(
    "--token-budget",
    type=values.positive,
    help="Tokens in one call; bounds memory, changes no result.  [default: 16384; 4096 for causal language models]",
)
@options.resume
@options.verbosity
def command(reader: str, of: Target, prompt: str | None, **settings: Any) -> None:
    """Score passages by the answer's or question's likelihood.

    The passages are the `ctxs` of QUESTIONS, which are then sorted by their score. `likelihood` is
    log p(answer | question, passage) in nats, each passage read alone. With --of question the score is
    `question-likelihood`, log p(question | passage), which needs neither answers nor a trained reader. With
    --leave-one-out it is `leave-one-out`: log p(answer | all passages) minus log p(answer | all other passages).
    A causal language model that train-reader trained reads answers' prompts as it was trained to, unless --prompt or
    --chat is given. Passages beyond --n-context follow after the others without `score`, as in score-attn.

    \b
      fidtools score-likelihood train.jsonl --reader reader -o scored.jsonl
      fidtools score-likelihood train.jsonl --reader smollm --of question -o scored.jsonl
    """
    if prompt is not None:
        check_template(prompt, of)
    if of == "question" and (settings["leave_one_out"] or settings["target"] == "generated"):
        raise UsageError("--leave-one-out and --target are about answers", hint="leave out --of question")
    from fidtools.compute.loading import is_causal
    from fidtools.reader.prompt import has_settings

    as_trained = of == "answer" and prompt is None and not settings["chat"]
    if is_causal(reader) and not (as_trained and has_settings(reader)):
        _score_with_language_model(reader, of, prompt or DEFAULT_PROMPTS[of], **settings)
        return
    if settings["chat"]:
        raise UsageError("--chat is for causal language models; this is an encoder-decoder")
    options.warn_unused("with a reader, whose training sets it", "text_maxlength")
    if of == "question":
        work = _question_scorer(prompt or ENCODER_QUESTION_PROMPT, settings["per_token"])
    elif prompt is not None:
        raise UsageError("--prompt: a reader reads answers' prompts in the format it was trained with")
    else:
        work = _answer_scorer(settings["leave_one_out"], settings["target"] == "gold", settings["per_token"])
    stream_through_reader(
        settings["questions"],
        settings["output"],
        work,
        "questions scored",
        reader=reader,
        token_budget=settings["token_budget"] or options.TOKEN_BUDGET,
        tokenize=of == "answer",
        **{name: settings[name] for name in ("precision", "resume", "n_context")},
    )


def _score_with_language_model(
    model: str,
    of: Target,
    prompt: str,
    *,
    questions: str,
    output: str,
    n_context: int | None,
    per_token: bool,
    leave_one_out: bool,
    target: str,
    chat: bool,
    text_maxlength: int,
    precision: Precision,
    token_budget: int | None,
    resume: bool,
) -> None:
    if leave_one_out or target == "generated":
        raise UsageError("--leave-one-out and --target generated need a Fusion-in-Decoder reader")
    from fidtools.compute.device import Compute
    from fidtools.language_models.model import load_language_model
    from fidtools.language_models.prompts import Prompt
    from fidtools.language_models.scoring import LikelihoodScorer
    from fidtools.reader.groups import in_groups

    def load() -> LikelihoodScorer:
        settings = Prompt(of, prompt, chat=chat, text_maxlength=text_maxlength)
        loaded = load_language_model(model, Compute.choose(precision))
        return LikelihoodScorer(loaded, settings, n_context, per_token, token_budget or LM_TOKEN_BUDGET, model)

    def cut(scorer: LikelihoodScorer, stream: Iterator[Question]) -> Iterator[list[Question]]:
        return in_groups(stream, n_context, *LM_GROUP)

    def score(scorer: LikelihoodScorer, group: list[Question]) -> list[Line]:
        scorer.score(group)
        return [question.to_json() for question in group]

    def report(scorer: LikelihoodScorer) -> None:
        scorer.tokenizer.cuts.report("language model", "--text-maxlength, --tokens of chunk", shared=True)

    stream_groups(questions, output, load, cut, score, "questions scored", report, resume=resume)


def _question_scorer(prompt: str, per_token: bool) -> Work:
    def score(model: Reader, group: Group) -> list[Line]:
        from fidtools.reader.likelihood import score_questions_by_question_likelihood

        score_questions_by_question_likelihood(model, group.questions, prompt, per_token=per_token)
        return [question.to_json() for question in group.questions]

    return score


def _answer_scorer(leave_one_out: bool, gold: bool, per_token: bool) -> Work:
    def score(model: Reader, group: Group) -> list[Line]:
        from fidtools.reader.likelihood import LEAVE_ONE_OUT, LIKELIHOOD, score_questions_by_likelihood

        name = LEAVE_ONE_OUT if leave_one_out else LIKELIHOOD
        scored = score_questions_by_likelihood(model, *group, name, gold=gold, per_token=per_token)
        return [question.to_json() for question in scored]

    return score
