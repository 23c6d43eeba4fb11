"""The scores of one system, question by question: measured in one pass over its lines, averaged with intervals."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fidtools.data.batched import batched
from fidtools.data.records import Question
from fidtools.evaluation.gold import Gold, Labels
from fidtools.evaluation.measure import Measure, Pooled, Summary, Unmeasured, Values
from fidtools.evaluation.significance import RESAMPLES, bootstrap_interval, interval, resampled_sums
from fidtools.typing import Floats

BATCH_SIZE = 256
NAN = float("nan")


@dataclass(frozen=True)
class Metric:
    """One number with its n, its 95% bootstrap interval, its unit and how it was computed."""

    value: float
    n: int
    interval: tuple[float, float] | None
    unit: str
    by: str


@dataclass
class Scores:
    """Values per question of one system: `values[name][i]` belongs to `ids[i]`; NaN where it was not measured.

    `labels` are those of `Gold.labels_of`.
    `units_and_methods`, `pooled` and `not_computed` (the reasons) are by metric name. `suppressed` are those of
    `not_computed` that the questions have all fields for.
    """

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    labels: list[Labels] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    values: dict[str, Floats] = field(default_factory=dict)
    pooled: dict[str, Pooled] = field(default_factory=dict)
    units_and_methods: dict[str, tuple[str, str]] = field(default_factory=dict)
    not_computed: dict[str, str] = field(default_factory=dict)
    suppressed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def metrics(self, group: str | None = None, resamples: int = RESAMPLES) -> dict[str, Metric]:
        """Every metric over the questions (of one group) that it was measured on."""
        rows = np.array([group is None or g == group for g in self.groups], dtype=bool)
        found = {}
        for name, column in self.values.items():
            kept = rows & ~np.isnan(column)
            if kept.any():
                found[name] = self._metric(name, kept, resamples)
        return found

    def _metric(self, name: str, rows: NDArray[np.bool_], resamples: int) -> Metric:
        unit, method = self.units_and_methods[name]
        n = int(rows.sum())
        if name not in self.pooled:
            values = self.values[name][rows]
            return Metric(float(values.mean()), n, bootstrap_interval(values, resamples), unit, method)
        statistics, value = self.pooled[name].statistics[rows], self.pooled[name].value
        total = float(value(statistics.sum(axis=0, keepdims=True))[0])
        ends = interval(value(resampled_sums(statistics, resamples))) if n > 1 else None
        return Metric(total, n, ends, unit, method)


def collect(
    questions: Iterable[Question],
    measures: Sequence[Measure],
    group: Callable[[Question], str] = lambda question: "",
    gold: Gold | None = None,
) -> Scores:
    """Measure all questions in one pass; only numbers, ids and the texts of the questions are kept in memory.

    `gold` is where the relevant passages are given, for the labels.
    """
    scores, gold = Scores(), gold or Gold()
    columns = [_Columns(measure) for measure in measures]
    for batch in batched(questions, BATCH_SIZE):
        scores.ids += [q.id for q in batch]
        scores.texts += [q.question for q in batch]
        scores.labels += [gold.labels_of(q) for q in batch]
        scores.groups += [group(q) for q in batch]
        for found in columns:
            found.append(found.measure.measure(batch))
    if repeated := len(scores.ids) - len(set(scores.ids)):
        scores.notes.append(f"{repeated} questions have the id of an earlier one: each is counted")
    for found in columns:
        found.add_to(scores)
    return scores


class _Columns:
    """The values of one measure while they are collected, and why questions have none."""

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self._values = {name: array("d") for name in measure.names}
        self._reasons: list[Unmeasured | None] = []

    def append(self, rows: Iterable[Values]) -> None:
        """Add the values of the next questions."""
        for row in rows:
            self._reasons.append(row if isinstance(row, Unmeasured) else None)
            for name, column in self._values.items():
                column.append(NAN if isinstance(row, Unmeasured) else row[name])

    def add_to(self, scores: Scores) -> None:
        """Put the columns among the scores, with zeros for missing values that count, or note why there are none."""
        reasons = Counter(reason for reason in self._reasons if reason)
        if not any(reason is None for reason in self._reasons):
            most_common = reasons.most_common(1)[0][0].reason if reasons else "are not there"
            scores.not_computed |= dict.fromkeys(self._values, f"the questions {most_common}")
            return
        summary = self.measure.finalize()
        scores.not_computed |= summary.suppressed
        scores.suppressed |= summary.suppressed
        zero = np.array([reason is not None and reason.zero for reason in self._reasons])
        measured = np.array([reason is None for reason in self._reasons])
        for name, column in self._values.items():
            if name not in summary.suppressed:
                values = np.array(column)
                missing = measured & np.isnan(values) if name in summary.zeros else np.zeros_like(measured)
                scores.values[name] = np.where(zero | missing, 0.0, values)
                scores.units_and_methods[name] = self.measure.unit, self.measure.method
        scores.pooled |= _in_input_order(summary, measured, zero)
        scores.notes += [self._note(reason, count) for reason, count in reasons.items()]
        scores.notes += [note for note in summary.notes if note not in scores.notes]

    def _note(self, reason: Unmeasured, count: int) -> str:
        names = ", ".join(self._values)
        effect = f"counted as 0 in {names}" if reason.zero else f"left out of {names}"
        return f"{count} questions {reason.reason}: {effect}"


def _in_input_order(summary: Summary, measured: NDArray[np.bool_], zero: NDArray[np.bool_]) -> dict[str, Pooled]:
    pooled = {}
    for name, found in summary.pooled.items():
        statistics = np.zeros((len(measured), found.statistics.shape[1]))
        statistics[measured] = found.statistics[: measured.sum()]
        statistics[zero] = found.statistics[measured.sum() :]
        pooled[name] = Pooled(statistics, found.value)
    return pooled
