"""Which of a question's passages are relevant: the gold ones, or those that contain an answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fidtools.data.grades import SHAPES, gold_ids
from fidtools.data.records import Question
from fidtools.metrics.answer_match import AnswerMatcher, usable
from fidtools.metrics.labels import Labels


def known_relevance(question: Question) -> NDArray[np.bool_] | None:
    """Which passages are relevant by `gold`, or else by answers; None where the question has neither.

    Raises DataError for `gold` that cannot be read.
    """
    if gold_ids(question):
        return relevance(question, "gold")
    return relevance(question, "answer") if question.answers else None


def relevance(question: Question, labels: Labels) -> NDArray[np.bool_]:
    """Which of a question's passages are relevant: those named in `gold`, or those that contain an answer.

    Raises DataError when the question has neither.
    """
    passages = question.ctxs or []
    if labels == "gold":
        wanted = gold_ids(question)
        if wanted is None:
            raise question.error("missing", "gold", hint=f"gold is {SHAPES}")
        return np.array([passage.id in wanted for passage in passages], dtype=np.bool_)
    if not question.answers:
        raise question.error("missing", "answers", hint="relevant are the passages that contain an answer")
    return np.array(AnswerMatcher(usable(question.answers)).hits([p.text for p in passages]), dtype=np.bool_)
