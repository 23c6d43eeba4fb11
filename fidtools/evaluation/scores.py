"""The scores of one system, question by question: measured in one pass over its lines, summed up with intervals."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fidtools.data.batched import batched
from fidtools.data.records import Question
from fidtools.evaluation.significance import RESAMPLES, bootstrap_interval, interval, resampled_sums
from fidtools.typing import Floats

BATCH = 256
NAN = float("nan")


@dataclass(frozen=True)
class Unmeasured:
    """Why a question has no value. `zero`: the system should have given one, so it counts as 0 where others count."""

    why: str
    zero: bool = False


class Measure(Protocol):
    """One or several metrics of a question that are counted together."""

    @property
    def names(self) -> Sequence[str]:
        """The metrics' names."""

    @property
    def by(self) -> str:
        """How they are counted, in words: the normaliser, the implementation."""

    @property
    def unit(self) -> str:
        """ "%" for shares, given as 0 to 100, or what is counted."""

    def measure(self, questions: Sequence[Question]) -> list[dict[str, float] | Unmeasured]:
        """For every question a value for each of `names`, or why there is none."""

    def finish(self) -> Finish:
        """What is known only after the last question."""


@dataclass(frozen=True)
class Pooled:
    """A metric of all questions together (BLEU): statistics per question, (questions, s), and what their sums say.

    In a `Finish`: first of the measured questions, then of those that count as 0, each in order.
    """

    statistics: Floats
    value: Callable[[Floats], Floats]


@dataclass(frozen=True)
class Finish:
    """`withdrawn`: names that say nothing on these questions, and why. `pooled`: over the questions that count."""

    withdrawn: dict[str, str] = field(default_factory=dict)
    pooled: dict[str, Pooled] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Metric:
    """One number with its n, its 95% bootstrap interval, and how it is counted."""

    value: float
    n: int
    interval: tuple[float, float] | None
    unit: str
    by: str


@dataclass
class Scores:
    """Values per question of one system: `values[name][i]` belongs to `ids[i]`; NaN where it was not measured."""

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    values: dict[str, Floats] = field(default_factory=dict)
    pooled: dict[str, Pooled] = field(default_factory=dict)
    counted: dict[str, tuple[str, str]] = field(default_factory=dict)
    not_computed: dict[str, str] = field(default_factory=dict)
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
        unit, by = self.counted[name]
        n = int(rows.sum())
        if name not in self.pooled:
            values = self.values[name][rows]
            return Metric(float(values.mean()), n, bootstrap_interval(values, resamples), unit, by)
        statistics, value = self.pooled[name].statistics[rows], self.pooled[name].value
        whole = float(value(statistics.sum(axis=0, keepdims=True))[0])
        sure = interval(value(resampled_sums(statistics, resamples))) if n > 1 else None
        return Metric(whole, n, sure, unit, by)


def collect(
    questions: Iterable[Question], measures: Sequence[Measure], group: Callable[[Question], str] = lambda question: ""
) -> Scores:
    """Measure all questions in one pass; only numbers, ids and the texts of the questions are kept."""
    scores = Scores()
    columns = {name: array("d") for measure in measures for name in measure.names}
    reasons: list[list[Unmeasured | None]] = [[] for _ in measures]
    for batch in batched(questions, BATCH):
        scores.ids += [q.id for q in batch]
        scores.texts += [q.question for q in batch]
        scores.groups += [group(q) for q in batch]
        for measure, why in zip(measures, reasons, strict=True):
            for values in measure.measure(batch):
                why.append(values if isinstance(values, Unmeasured) else None)
                for name in measure.names:
                    columns[name].append(NAN if isinstance(values, Unmeasured) else values[name])
    for measure, why in zip(measures, reasons, strict=True):
        _settle(scores, measure, {name: np.array(columns[name]) for name in measure.names}, why)
    return scores


def _settle(scores: Scores, measure: Measure, columns: dict[str, Floats], why: list[Unmeasured | None]) -> None:
    """Put a measure's columns among the scores, zeros filled in, or say why there are none."""
    reasons = Counter(reason for reason in why if reason)
    if not any(reason is None for reason in why):
        said = reasons.most_common(1)[0][0].why if reasons else "are not there"
        scores.not_computed |= dict.fromkeys(columns, f"the questions {said}")
        return
    zero = np.array([reason is not None and reason.zero for reason in why])
    measured = np.array([reason is None for reason in why])
    end = measure.finish()
    scores.not_computed |= end.withdrawn
    for name, column in columns.items():
        if name not in end.withdrawn:
            scores.values[name] = np.where(zero, 0.0, column)
            scores.counted[name] = measure.unit, measure.by
    for name, pooled in end.pooled.items():
        statistics = np.zeros((len(why), pooled.statistics.shape[1]))
        statistics[measured] = pooled.statistics[: measured.sum()]
        statistics[zero] = pooled.statistics[measured.sum() :]
        scores.pooled[name] = Pooled(statistics, pooled.value)
    scores.notes += [_note(reason, count, measure) for reason, count in reasons.items()] + end.notes


def _note(reason: Unmeasured, count: int, measure: Measure) -> str:
    what = ", ".join(measure.names)
    return f"{count} questions {reason.why}: " + (f"counted as 0 in {what}" if reason.zero else f"left out of {what}")
