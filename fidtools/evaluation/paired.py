"""Systems compared on the same questions: several runs of each, paired tests, and who wins where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidtools.errors import DataError, MismatchError
from fidtools.evaluation.scores import Scores
from fidtools.evaluation.significance import Comparison, compare

Floats = NDArray[np.float64]


@dataclass
class Runs:
    """One system: the scores of its runs (seeds), on the same questions."""

    name: str
    runs: Sequence[Scores]

    def aligned(self, ids: Sequence[str], texts: Sequence[str]) -> dict[str, Floats]:
        """Per metric the values of every run, (runs, questions), in the order of `ids`.

        Raises MismatchError where a run has other questions.
        """
        orders = [_order(scores, ids, texts, self.name) for scores in self.runs]
        metrics = [name for name in self.runs[0].values if all(name in scores.values for scores in self.runs)]
        return {name: np.stack([s.values[name][o] for s, o in zip(self.runs, orders, strict=True)]) for name in metrics}


def _order(scores: Scores, ids: Sequence[str], texts: Sequence[str], name: str) -> list[int]:
    rows = {identifier: row for row, identifier in enumerate(scores.ids)}
    if len(rows) != len(scores.ids):
        raise DataError("a question id is there twice", path=name)
    if missing := [identifier for identifier in ids if identifier not in rows]:
        raise MismatchError(f"{len(missing)} questions of the first system are not in it", path=name, value=missing[0])
    if len(rows) > len(ids):
        raise MismatchError(f"has {len(rows) - len(ids)} questions that the first system has not", path=name)
    order = [rows[identifier] for identifier in ids]
    for row, text in zip(order, texts, strict=True):
        if text and scores.texts[row] and text != scores.texts[row]:
            raise MismatchError("another question under the same id", path=name, value=scores.texts[row])
    return order


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


def compare_runs(systems: Sequence[Runs], resamples: int = 10_000) -> tuple[list[Result], list[Change]]:
    """Every system against the first one, in every metric both have, on the questions measured in all runs of both.

    With several runs, a question's value is their mean. The changes are sorted by the size of the win or loss.
    """
    first = systems[0]
    ids, texts = first.runs[0].ids, first.runs[0].texts
    base = first.aligned(ids, texts)
    results, changes = [], []
    for system in systems[1:]:
        other = system.aligned(ids, texts)
        for metric in [name for name in base if name in other]:
            together = ~np.isnan(np.vstack([base[metric], other[metric]])).any(axis=0)
            if together.sum() < 2:
                continue
            a, b = base[metric][:, together], other[metric][:, together]
            unit = first.runs[0].counted[metric][0]
            tested = compare(a.mean(axis=0), b.mean(axis=0), resamples)
            means = [float(x) for x in a.mean(axis=1)], [float(x) for x in b.mean(axis=1)]
            results.append(Result(metric, unit, int(together.sum()), first.name, system.name, *means, tested))
            changes += _changes(metric, np.flatnonzero(together), (a.mean(axis=0), b.mean(axis=0)), (ids, texts))
    if not results:
        raise DataError("the systems have no metric in common that two questions have", path=first.name)
    return results, changes


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
