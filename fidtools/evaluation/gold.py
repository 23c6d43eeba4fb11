"""Which passages of a question are relevant, according to the data set."""

from __future__ import annotations

from dataclasses import dataclass

from fidtools.data.grades import Grades, gold_grades
from fidtools.data.records import Question


@dataclass
class Gold:
    """Where the relevant passages are given: in qrels by question id, or in a field of the question."""

    field: str = "gold"
    qrels: dict[str, Grades] | None = None

    def of(self, question: Question) -> Grades | None:
        """Grades by passage id; None where none are given. Raises DataError as `gold_grades` does."""
        return gold_grades(question, self.field) if self.qrels is None else self.qrels.get(question.id)
