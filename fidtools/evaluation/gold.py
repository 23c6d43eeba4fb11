"""Which passages of a question are relevant, according to the data set."""

from __future__ import annotations

from dataclasses import dataclass

from fidtools.data.records import Question

Grades = dict[str, int]


@dataclass
class Gold:
    """Where the relevant passages are given: in qrels by question id, or in a field of the question."""

    field: str = "gold"
    qrels: dict[str, Grades] | None = None

    def of(self, question: Question) -> Grades | None:
        """Grades by passage id; None where none are given. The field holds a list of ids or an object of grades."""
        if self.qrels is not None:
            return self.qrels.get(question.id)
        value = question.extra.get(self.field)
        if isinstance(value, dict):
            return {str(name): grade for name, grade in value.items() if isinstance(grade, int)}
        return {str(name): 1 for name in value} if isinstance(value, list) else None
