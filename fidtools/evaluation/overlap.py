"""Overlap of test questions with training questions (Lewis, Stenetorp & Riedel 2021)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fidtools.data.records import Question
from fidtools.metrics.answers import Normalizer, normalize_answer

QUESTION, ANSWER, NONE = "question overlap", "answer overlap only", "no overlap"


def overlap_with(train: Iterable[Question], normalize: Normalizer = normalize_answer) -> Callable[[Question], str]:
    """A function from a test question to its group.

    "question overlap": a training question is the same in normal form (the paper's annotators also counted
    paraphrases). "answer overlap only": a training answer equals one of its answers in normal form.
    """
    questions: set[str] = set()
    answers: set[str] = set()
    for question in train:
        questions.add(normalize_answer(question.question))
        answers.update(normalize(answer) for answer in question.answers or ())
    answers.discard("")

    def group(question: Question) -> str:
        if normalize_answer(question.question) in questions:
            return QUESTION
        return ANSWER if any(normalize(answer) in answers for answer in question.answers or ()) else NONE

    return group
