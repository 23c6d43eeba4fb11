"""Systems compared on the same questions: several runs of each, paired tests, and the questions that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidtools.errors import DataError, MismatchError
from fidtools.evaluation.measure import Pooled
from fidtools.evaluation.scores import Scores
from fidtools.evaluation.significance import Comparison, compare, compare_pooled
from fidtools.typing import Floats

DECIMALS = 10


@dataclass(frozen=True)
class Aligned:
    """A system's values per metric, (runs, questions), and the statistics of pooled metrics, (runs, questions, s)."""

    values: dict[str, Floats]
    pooled: dict[str, Pooled]


@dataclass
class SystemRuns:
    """One system: the scores of its runs (seeds), on the same questions."""

    name: str
    runs: Sequence[Scores]

    def aligned(self, ids: Sequence[str], texts: Sequence[str]) -> Aligned:
        """The metrics that every run has, in the order of `ids`.

        Raises MismatchError where a run has other questions.
        """
        ordered = [(scores, _order(scores, ids, texts, self.name)) for scores in self.runs]
        first = self.runs[0]
        metrics = [name for name in first.values if all(name in scores.values for scores in self.runs)]
        values = {name: np.stack([scores.values[name][order] for scores, order in ordered]) for name in metrics}
        pooled = {
            name: Pooled(np.stack([s.pooled[name].statistics[order] for s, order in ordered]), first.pooled[name].value)
            for name in metrics
            if name in first.pooled
        }
        return Aligned(values, pooled)


def _order(scores: Scores, ids: Sequence[str], texts: Sequence[str], name: str) -> list[int]:
    """The rows of `scores` in the order of `ids`. Raises a DataError unless it has the same questions, each once."""
    rows = {identifier: row for row, identifier in enumerate(scores.ids)}
    if len(rows) != len(scores.ids):
        raise DataError("a question id occurs twice", path=name)
    if missing := [identifier for identifier in ids if identifier not in rows]:
        raise MismatchError(f"lacks {len(missing)} questions of the first system", path=name, value=missing[0])
    if len(rows) > len(ids):
        raise MismatchError(f"has {len(rows) - len(ids)} questions that the first system lacks", path=name)
    order = [rows[identifier] for identifier in ids]
    _check_same_texts([scores.texts[row] for row in order], texts, name)
    return order


def _check_same_texts(found: Sequence[str], expected: Sequence[str], name: str) -> None:
    for text, other in zip(found, expected, strict=True):
        if text and other and text != other:
            raise MismatchError("a different question has the same id in the first system", path=name, value=text)


@dataclass(frozen=True)
class Result:
    """System B against system A in one metric; `means` per run, `unit` of all values."""

    metric: str
    unit: str
    n: int
    a: str
    b: str
    a_means: list[float]
    b_means: list[float]
    comparison: Comparison

    def to_json(self) -> dict[str, Any]:
        """As written to a file."""
        flat = asdict(self)
        return {**{name: value for name, value in flat.items() if name != "comparison"}, **flat["comparison"]}


@dataclass(frozen=True)
class Change:
    """A question on which two systems differ."""

    metric: str
    id: str
    question: str
    a: float
    b: float


def compare_runs(systems: Sequence[SystemRuns], resamples: int = 10_000) -> tuple[list[Result], list[Change]]:
    """Every system against the first one, in every metric both have, on the questions measured in all runs of both.

    With several runs, a question's value is their mean; of a pooled metric (BLEU, METEOR), the statistics are averaged,
    as if all runs' answers were one file. The changes are sorted by B − A, descending. Raises MismatchError for
    different questions, DataError when no metric can be compared.
    """
    first = systems[0]
    ids, texts = first.runs[0].ids, first.runs[0].texts
    base = first.aligned(ids, texts)
    results, changes = [], []
    for system in systems[1:]:
        other = system.aligned(ids, texts)
        for metric in [name for name in base.values if name in other.values]:
            measured = np.asarray(~np.isnan(np.vstack([base.values[metric], other.values[metric]])).any(axis=0))
            if measured.sum() < 2:
                continue
            unit = first.runs[0].units_and_methods[metric][0]
            a_means, b_means, tested = _tested(metric, (base, other), measured, resamples)
            n = int(measured.sum())
            results.append(Result(metric, unit, n, first.name, system.name, a_means, b_means, tested))
            a, b = (_over_runs(side.values[metric][:, measured]) for side in (base, other))
            changes += _changes(metric, np.flatnonzero(measured), (a, b), (ids, texts))
    if not results:
        raise DataError("the systems share no metric that at least two questions have", path=first.name)
    return results, changes


def _tested(
    metric: str, sides: tuple[Aligned, Aligned], rows: NDArray[np.bool_], resamples: int
) -> tuple[list[float], list[float], Comparison]:
    """Every run's own number, for A and for B, and the tests."""
    a, b = (side.values[metric][:, rows] for side in sides)
    if not all(metric in side.pooled for side in sides):
        tested = compare(_over_runs(a), _over_runs(b), resamples)
        return a.mean(axis=1).tolist(), b.mean(axis=1).tolist(), tested
    value = sides[0].pooled[metric].value
    of_a, of_b = (side.pooled[metric].statistics[:, rows] for side in sides)
    change = _over_runs(b) - _over_runs(a)
    tested = compare_pooled(of_a.mean(axis=0), of_b.mean(axis=0), value, change, resamples)
    return value(of_a.sum(axis=1)).tolist(), value(of_b.sum(axis=1)).tolist(), tested


def _over_runs(values: Floats) -> Floats:
    """The mean of each question over the runs, (questions,): the same in whatever order the runs are added."""
    means: Floats = values.mean(axis=0)
    return means.round(DECIMALS)


def _changes(
    metric: str, rows: NDArray[np.intp], values: tuple[Floats, Floats], names: tuple[Sequence[str], Sequence[str]]
) -> list[Change]:
    ids, texts = names
    found = [
        Change(metric, ids[row], texts[row], float(a), float(b))
        for row, a, b in zip(rows, *values, strict=True)
        if a != b
    ]
    return sorted(found, key=lambda change: change.a - change.b)
