"""What becomes of `gold` in training lines, which only divide the passages of a question into two sides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fidtools.data.grades import gold_grades
from fidtools.data.records import Question
from fidtools.logs import log


def noting_lost_gold(questions: Iterable[Question]) -> Iterator[Question]:
    """The questions unchanged. Warns, with counts, of gold passages outside of the lists and of grades other than 1."""
    absent = graded = 0
    for question in questions:
        grades = gold_grades(question) or {}
        listed = {passage.id for passage in question.ctxs or ()}
        absent += sum(grade > 0 and identifier not in listed for identifier, grade in grades.items())
        graded += any(grade != 1 for grade in grades.values())
        yield question
    if absent:
        log.warning("gold passages that are not among the passages of their question, left out: %d", absent)
    if graded:
        log.warning("questions whose grades are written as positive (above 0) or negative: %d", graded)
