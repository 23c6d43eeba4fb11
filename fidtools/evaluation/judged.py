"""Metrics from relevance judgements by name, computed by `ir_measures` (and so by trec_eval, where that has them)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fidtools.data.records import Question
from fidtools.errors import MissingExtraError
from fidtools.evaluation.measures import NO_GOLD, NO_IDS, NO_PASSAGES, Gold
from fidtools.evaluation.scores import Finish, Unmeasured


def parse(name: str) -> Any:
    """The measure of that name ("nDCG@10", "AP", "P@5", "Recall@20", "RBP(p=0.8)"); None when there is none.

    Raises MissingExtraError without the package.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtraError(f"'{name}' (of ir_measures)", "eval") from error
    try:
        return ir_measures.parse_measure(name)
    except (NameError, ValueError, SyntaxError):
        return None


@dataclass
class Judged:
    """Measures of `ir_measures` on the order of the passages."""

    names: Sequence[str]
    gold: Gold
    unit: str = ""
    by: str = "ir_measures, relevance judgements"
    _seen: set[str] = field(default_factory=set)

    def measure(self, questions: Sequence[Question]) -> list[dict[str, float] | Unmeasured]:
        """Every measure on every question that has judgements and passages."""
        import ir_measures

        found = [self._excuse(question) for question in questions]
        self._seen.update(question.id for question in questions)
        rows = {str(row): question for row, question in enumerate(questions) if found[row] is None}
        qrels = {row: self.gold.of(question) for row, question in rows.items()}
        runs = {row: _run(question) for row, question in rows.items()}
        named = {parse(name): name for name in self.names}
        values: dict[str, dict[str, float]] = {row: {} for row in rows}
        for metric in ir_measures.iter_calc([*named], qrels, runs):
            values[metric.query_id][named[metric.measure]] = metric.value
        return [excuse or values[str(row)] for row, excuse in enumerate(found)]

    def _excuse(self, question: Question) -> Unmeasured | None:
        if not self.gold.of(question):
            return NO_GOLD
        if question.ctxs is None:
            return NO_PASSAGES
        return NO_IDS if any(passage.id is None for passage in question.ctxs) else None

    def finish(self) -> Finish:
        """Says how many judged questions the system has no line for: as in trec_eval, they do not count."""
        absent = len(set(self.gold.qrels or ()) - self._seen)
        return Finish(notes=[f"{absent} judged questions are not in the file: left out"] if absent else [])


def _run(question: Question) -> dict[str, float]:
    """The passages with falling scores that keep their order: equal scores would be reordered by their ids.

    A passage that is listed twice counts where it stands first.
    """
    run: dict[str, float] = {}
    for rank, passage in enumerate(question.ctxs or ()):
        run.setdefault(str(passage.id), float(-rank))
    return run
