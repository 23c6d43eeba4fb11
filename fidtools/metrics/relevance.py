"""Which of a question's passages are relevant: the gold ones, or those that contain an answer."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fidtools.data.records import Question
from fidtools.metrics.answer_match import AnswerMatcher, usable

Labels = Literal["gold", "answer"]


def relevance(question: Question, labels: Labels) -> NDArray[np.bool_]:
    """Which of a question's passages are relevant: those named in `gold`, or those that contain an answer.

    Raises DataError when the question has neither.
    """
    passages = question.ctxs or []
    if labels == "gold":
        gold = question.extra.get("gold")
        if not isinstance(gold, list):
            raise question.error("missing", "gold", hint="gold is the list of the relevant passages' ids")
        wanted = {str(identifier) for identifier in gold}
        return np.array([passage.id in wanted for passage in passages], dtype=np.bool_)
    if not question.answers:
        raise question.error("missing", "answers", hint="relevant are the passages that contain an answer")
    return np.array(AnswerMatcher(usable(question.answers)).hits([p.text for p in passages]), dtype=np.bool_)
