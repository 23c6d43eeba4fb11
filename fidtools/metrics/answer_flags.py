"""The flags that a file has in its passages: whether each contains an answer, as DPR and FiD write it."""

from __future__ import annotations

from fidtools.data.records import Passage, Question

FLAGS = ("has_answer", "hasanswer")
_MEANING = {"true": True, "1": True, "false": False, "0": False}


def answer_flag(question: Question, passage: Passage) -> bool | None:
    """The flag of one of the question's passages; None where it has none.

    true, 1, and the text of either; false and 0 likewise. Raises DataError for anything else.
    """
    for name in FLAGS:
        if (value := passage.extra.get(name)) is not None:
            flag = _MEANING.get(str(value).lower())
            if flag is None:
                raise question.error("must be true or false", f"ctxs.{name}", value)
            return flag
    return None
