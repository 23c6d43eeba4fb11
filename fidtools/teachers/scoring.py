"""Scores of a cross-encoder for the passages of questions."""

from __future__ import annotations

from collections.abc import Sequence

from fidtools.data.records import Question
from fidtools.teachers.interface import Teacher
from fidtools.teachers.objective import score_pairs


def score_questions(
    teacher: Teacher, questions: Sequence[Question], name: str, n_passages: int | None, token_budget: int
) -> None:
    """Write the logits of the first `n_passages` passages as `scores[name]` and sort by them, descending.

    Raises DataError for a question without passages (`ctxs`).
    """
    chosen = [question.require_ctxs()[:n_passages] for question in questions]
    repeated = [q.question for q, passages in zip(questions, chosen, strict=True) for _ in passages]
    texts = [teacher.settings.passage_text(p.title, p.text) for passages in chosen for p in passages]
    scores = iter(score_pairs(teacher, repeated, texts, token_budget).tolist())
    for question, passages in zip(questions, chosen, strict=True):
        question.set_scores({name: [next(scores) for _ in passages]}, name)
