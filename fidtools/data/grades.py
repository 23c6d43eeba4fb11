"""Which passages a question's data set judges relevant: the field `gold`, in all spellings, read in one place."""

from __future__ import annotations

import math
from typing import Any

from fidtools.data.list_text import LIST_HINT, is_broken_list, parse_list_text, parse_object_text
from fidtools.data.records import Question

Grades = dict[str, float]
SHAPES = "a list of passage ids, one id, or an object of grades by id"


def gold_grades(question: Question, name: str = "gold") -> Grades | None:
    """Grades by passage id from the field `name`; None where it is absent or null. Grade 0 is judged not relevant.

    The field holds a list of ids or one id, each then of grade 1, or an object of grades, where null is none; or the
    text of such a list or object; a blank text is none. A whole grade is an int. Raises DataError for anything else.
    """
    value = question.extra.get(name)
    if isinstance(value, str):
        if is_broken_list(value, numbers=True):
            raise question.error("begins and ends as a list of ids, but is none", name, value, LIST_HINT)
        value = _of_text(value)
    if value is None:
        return None
    if isinstance(value, dict):
        given = {str(identifier): grade for identifier, grade in value.items() if grade is not None}
        return {identifier: _grade(grade, question, f"{name}.{identifier}") for identifier, grade in given.items()}
    ids = value if isinstance(value, list) else [value]
    for identifier in ids:
        if isinstance(identifier, bool) or not isinstance(identifier, str | int):
            raise question.error(f"must be {SHAPES}", name, value)
    return {str(identifier): 1 for identifier in ids}


def _of_text(text: str) -> Any:
    """The list or object that a text stands for, else the text; None for a blank one, as tables have it for nothing."""
    found: Any = parse_list_text(text, numbers=True)
    found = parse_object_text(text) if found is None else found
    return found if found is not None else text if text.strip() else None


def gold_ids(question: Question, name: str = "gold") -> set[str] | None:
    """The ids of the relevant passages, those with a grade above 0. Raises DataError as `gold_grades` does."""
    grades = gold_grades(question, name)
    return None if grades is None else {identifier for identifier, grade in grades.items() if grade > 0}


def _grade(value: Any, question: Question, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise question.error("a grade must be a number", name, value)
    return int(value) if value == int(value) else value
