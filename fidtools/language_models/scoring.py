"""Relevance of passages by a causal language model: every passage read by itself, in front of the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fidtools.data.records import SCORED_BY, Question
from fidtools.language_models.likelihood import log_likelihoods
from fidtools.language_models.model import LanguageModel
from fidtools.language_models.prompts import Prompt, PromptTokenizer

NAMES = {"answer": "likelihood", "question": "question-likelihood"}


def score_name(prompt: Prompt, per_token: bool) -> str:
    """The name a score is kept under: `likelihood` or `question-likelihood`, with `-per-token` for the mean."""
    return NAMES[prompt.of] + ("-per-token" if per_token else "")


@dataclass
class LikelihoodScorer:
    """Scores the first `n_context` passages of questions by a language model (all passages with None)."""

    model: LanguageModel
    prompt: Prompt
    n_context: int | None = None
    per_token: bool = False
    token_budget: int = 4096
    model_name: str = ""

    def __post_init__(self) -> None:
        self.name = score_name(self.prompt, self.per_token)
        self.tokenizer = PromptTokenizer(self.model.tokenizer, self.prompt, self.model.most_tokens)

    def score(self, questions: Sequence[Question]) -> None:
        """Write `scores[name]` into the passages, in nats, and sort them by it; the question keeps how in `scored_by`.

        Raises DataError for a question without the field `ctxs`, or without an answer where answers are scored.
        """
        encoded = [
            self.tokenizer.encode(question, question.require_ctxs()[: self.n_context], self._target(question))
            for question in questions
        ]
        flat = [prompt for prompts in encoded for prompt in prompts]
        values = iter(log_likelihoods(self.model.network, flat, self.token_budget, per_token=self.per_token))
        for question, prompts in zip(questions, encoded, strict=True):
            question.set_scores({self.name: [next(values) for _ in prompts]}, self.name)
            question.extra[SCORED_BY] = {**question.scored_by, self.name: self._record()}

    def _record(self) -> dict[str, Any]:
        return {"model": self.model_name, **self.prompt.to_json(), "per_token": self.per_token}

    def _target(self, question: Question) -> str:
        if self.prompt.of == "question":
            return f" {question.question}"
        return f" {question.gold_answer()}"
