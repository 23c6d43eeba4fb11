"""Which passages of a question are relevant, according to the data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fidtools.data.grades import Grades, gold_grades
from fidtools.data.records import Question
from fidtools.errors import DataError, shorten

Labels = tuple[int, int]
"""What a question is judged by: hashes that are equal for the same answers, and for the same gold, in one process."""


@dataclass
class Gold:
    """Where the relevant passages are given: in qrels by question id, or in a field of the question."""

    field: str = "gold"
    qrels: dict[str, Grades] | None = None

    def of(self, question: Question) -> Grades | None:
        """Grades by passage id; None where none are given. Raises DataError as `gold_grades` does."""
        return gold_grades(question, self.field) if self.qrels is None else self.qrels.get(question.id)

    def relevant_ids(self, question: Question) -> list[str]:
        """The ids of the passages with a grade above 0. Raises DataError as `gold_grades` does."""
        return [name for name, grade in (self.of(question) or {}).items() if grade > 0]

    def labels_of(self, question: Question) -> Labels:
        """Hashes of the answers and of the grades, in any order; 0 where there are none, or none that can be read."""
        answers = frozenset(question.gold_answers)
        try:
            grades = frozenset((self.of(question) or {}).items())
        except DataError:  # a metric that needs them says what is wrong
            grades = frozenset()
        return hash(answers) if answers else 0, hash(grades) if grades else 0


@dataclass
class ListedGold:
    """Whether a gold passage is anywhere among the passages of its question, as of ids that are written alike."""

    _found: bool = field(default=False, init=False)
    _example: tuple[str, str] | None = field(default=None, init=False)

    def see(self, question: Question, relevant: Sequence[str]) -> None:
        """Look at one more question, with the ids of its relevant passages."""
        if not self._found:
            self.compare(relevant, [str(passage.id) for passage in question.ctxs or ()])

    def compare(self, relevant: Sequence[str], listed: Sequence[str]) -> None:
        """Look at the relevant and the listed ids of one more question."""
        self._found = self._found or not set(listed).isdisjoint(relevant)
        if relevant and listed and self._example is None:
            self._example = relevant[0], listed[0]

    def notes(self) -> list[str]:
        """What to say where no gold passage is listed at all."""
        if self._found or self._example is None:
            return []
        gold, listed = (shorten(name, 40) for name in self._example)
        return [
            f"no gold passage is listed for its question: are the ids of one corpus? (gold is {gold}, listed {listed})"
        ]


def are_other(one: Labels, other: Labels) -> bool:
    """Whether two questions have answers, or have gold, that differ."""
    return any(a and b and a != b for a, b in zip(one, other, strict=True))
