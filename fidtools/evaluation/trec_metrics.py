"""Metrics from relevance judgements, computed by `ir_measures` (which uses trec_eval for those that it has)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fidtools.data.grades import Grades
from fidtools.data.records import Question
from fidtools.errors import FidtoolsError, MissingExtraError, shorten
from fidtools.evaluation.family import MetricFamily
from fidtools.evaluation.gold import Gold, ListedGold
from fidtools.evaluation.measure import NO_GOLD, NO_IDS, NO_PASSAGES, Summary, Unmeasured, Values

COUNTS = ("cutoff", "rel")
MAX_COUNT = 2**31 - 1
_PARAMETERS = r"(?:\(.*\))?"
_NAME = re.compile(rf"\w+{_PARAMETERS}(?:@[\d.]+)?{_PARAMETERS}", re.ASCII)


def parse(name: str) -> Any:
    """The measure of that name ("nDCG@10", "AP", "P@5", "Recall@20", "RBP(p=0.8)"); None when there is none.

    A cut-off or grade below 1 is none: trec_eval would end the process. So is `R@5 `, which ir_measures reads as its
    own recall, not as the share of questions with an answer, and `P@1_0`, which it reads as `P@10`. Raises
    MissingExtraError without the package.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtraError(f"'{name}' (of ir_measures)", "eval") from error
    if not _NAME.fullmatch(name):
        return None
    try:
        measure = ir_measures.parse_measure(name)
        measure.validate_params()  # type: ignore[no-untyped-call]
    except Exception:  # the name is evaluated: whatever that raises
        return None
    counts = [measure.params[count] for count in COUNTS if count in measure.params]
    return measure if all(1 <= count <= MAX_COUNT for count in counts) else None


@dataclass
class TrecMetrics:
    """Measures of `ir_measures` on the order of the passages."""

    names: Sequence[str]
    gold: Gold
    unit: str = ""
    method: str = "ir_measures, relevance judgements"
    _seen: set[str] = field(default_factory=set)
    _listed: ListedGold = field(default_factory=ListedGold)

    def measure(self, questions: Sequence[Question]) -> list[Values]:
        """Every measure on every question that has judgements and passages."""
        self._seen.update(question.id for question in questions)
        reasons = [self._why_unmeasured(question) for question in questions]
        rows = [question for question, reason in zip(questions, reasons, strict=True) if reason is None]
        for question in rows:
            self._listed.see(question, self.gold.relevant_ids(question))
        values = iter(self._computed(rows))
        return [reason or next(values) for reason in reasons]

    def _why_unmeasured(self, question: Question) -> Unmeasured | None:
        if not self.gold.of(question):
            return NO_GOLD
        if question.ctxs is None:
            return NO_PASSAGES
        return NO_IDS if any(passage.id is None for passage in question.ctxs) else None

    def _computed(self, questions: Sequence[Question]) -> list[dict[str, float]]:
        """Every measure of questions with judgements. The row serves as query id, as ids may be repeated."""
        import ir_measures

        named = {parse(name): name for name in self.names}
        qrels = {str(row): self._whole_grades(question) for row, question in enumerate(questions)}
        runs = {str(row): _run(question) for row, question in enumerate(questions)}
        values: list[dict[str, float]] = [{} for _ in questions]
        try:
            for metric in ir_measures.iter_calc([*named], qrels, runs):
                values[int(metric.query_id)][named[metric.measure]] = metric.value
        except Exception as error:  # of the programs and packages that it calls
            raise FidtoolsError(f"ir_measures cannot compute {', '.join(self.names)}: {shorten(str(error))}") from error
        return values

    def _whole_grades(self, question: Question) -> Grades:
        """The grades of a question. Raises DataError for one that is not whole: trec_eval has no others."""
        grades = self.gold.of(question) or {}
        for name, grade in grades.items():
            if not isinstance(grade, int):
                raise question.error("trec_eval's measures need integer grades", f"gold.{name}", grade)
        return grades

    def finalize(self) -> Summary:
        """Notes how many judged questions are not in the file: as in trec_eval, they do not count."""
        absent = len(set(self.gold.qrels or ()) - self._seen)
        notes = [f"{absent} judged questions are not in the file: left out"] if absent else []
        return Summary(notes=notes + self._listed.notes())


def _run(question: Question) -> dict[str, float]:
    """The passages with descending scores that keep their order: trec_eval would reorder equal scores by id.

    A passage that is listed twice counts at its first rank.
    """
    run: dict[str, float] = {}
    for rank, passage in enumerate(question.ctxs or ()):
        run.setdefault(str(passage.id), float(-rank))
    return run


IR_MEASURES = MetricFamily(
    names=("nDCG@10", "AP", "MRR", "P@5", "Recall@20", "Rprec"),
    description="these and every other measure of `ir_measures`, on the order of the list",
    needs="`gold` or `--qrels`, `ctxs` with ids",
    unit="",
    options=("--gold", "--qrels"),
    extra="eval",
    build=lambda settings, names: TrecMetrics(names, settings.gold),
)
