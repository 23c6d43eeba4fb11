"""Significance: bootstrap intervals, and paired tests between two systems on the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fidtools.typing import Floats

RESAMPLES = 1000
LEVEL = 0.95
MAX_CELLS = 1 << 22  # random numbers in memory at a time
BINOMIAL_COST = 8  # time for a binomial number, relative to an integer


def resampled_means(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """The means of `resamples` samples of the questions, drawn with replacement, (resamples,).

    The counts of the distinct values in a sample are multinomial, so that 100,000 values that are 0 or 100 cost two
    random numbers a sample. Values that are mostly distinct are drawn one by one, which is then faster.
    """
    distinct, counts = np.unique(values, return_counts=True)
    n = len(values)
    if len(distinct) * BINOMIAL_COST < n:
        share = counts / n
        parts = [rng.multinomial(n, share, size) @ distinct for size in _sizes(resamples, len(distinct))]
    else:
        parts = [values[rng.integers(0, n, (size, n))].sum(axis=1) for size in _sizes(resamples, n)]
    return np.concatenate(parts) / n


def resampled_sums(statistics: Floats, resamples: int, seed: int = 0) -> Floats:
    """The sums over questions of (questions, s) in `resamples` samples drawn with replacement, (resamples, s)."""
    rng = np.random.default_rng(seed)
    n = len(statistics)
    parts = [rng.multinomial(n, np.full(n, 1 / n), size) @ statistics for size in _sizes(resamples, n)]
    return np.concatenate(parts)


def _sizes(total: int, width: int) -> Iterator[int]:
    step = max(1, MAX_CELLS // width)
    yield from (min(step, total - done) for done in range(0, total, step))


def interval(means: Floats, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval of resampled means."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_interval(values: Floats, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float] | None:
    """The 95% percentile bootstrap interval of the mean over questions; None for fewer than two questions."""
    if len(values) < 2:
        return None
    return interval(resampled_means(values, resamples, np.random.default_rng(seed)))


def p_value(p: float) -> str:
    """Four decimals, or two digits where those would be zeros."""
    return f"{p:.4f}" if p >= 0.00005 else f"{p:.1e}"


@dataclass(frozen=True)
class Comparison:
    """How system B differs from system A on the same questions. `difference` is B − A."""

    difference: float
    interval: tuple[float, float]
    p_bootstrap: float
    p_randomisation: float
    wins: int
    losses: int
    ties: int


def compare(a: Floats, b: Floats, resamples: int = 10_000, seed: int = 0) -> Comparison:
    """Paired tests of the per-question values of two systems, in the same order.

    Bootstrap: questions are resampled with replacement; p is twice the smaller share of differences on either side of
    zero. Randomization (Fisher, Pitman): the labels A and B of each question are swapped at random; p is the share of
    differences at least as large as the observed one, which itself counts as one of them (Phipson & Smyth 2010).
    Raises ValueError for arrays of different lengths and for fewer than two questions.
    """
    if a.shape != b.shape or len(a) < 2:
        raise ValueError(f"paired tests need the same questions, at least two: got {len(a)} and {len(b)}")
    change = b - a
    rng = np.random.default_rng(seed)
    means = resampled_means(change, resamples, rng)
    return _comparison(float(change.mean()), means, _randomisation(change, resamples, rng), change)


def compare_pooled(
    a: Floats, b: Floats, value: Callable[[Floats], Floats], change: Floats, resamples: int = 10_000, seed: int = 0
) -> Comparison:
    """The same tests of a metric that is computed from sums over questions (BLEU): statistics (n, s) of two systems.

    `value` computes the metric from sums, (rows, s) -> (rows,); `change` is B − A per question, for wins and losses.
    Both tests compute the metric for every sample: of the questions drawn, and with the systems' statistics swapped.
    """
    rng = np.random.default_rng(seed)
    n = len(a)
    observed = float((value(b.sum(axis=0)[None]) - value(a.sum(axis=0)[None]))[0])
    drawn, swapped = [], []
    for size in _sizes(resamples, n):
        counts = rng.multinomial(n, np.full(n, 1 / n), size)
        drawn.append(value(counts @ b) - value(counts @ a))
        moved = rng.integers(0, 2, (size, n)) @ (b - a)
        swapped.append(value(b.sum(axis=0) - moved) - value(a.sum(axis=0) + moved))
    extreme = int((np.abs(np.concatenate(swapped)) >= abs(observed) - 1e-9).sum())
    return _comparison(observed, np.concatenate(drawn), (extreme + 1) / (resamples + 1), change)


def _comparison(difference: float, samples: Floats, p_randomisation: float, change: Floats) -> Comparison:
    tail = min(float((samples <= 0).mean()), float((samples >= 0).mean()))
    return Comparison(
        difference=difference,
        interval=interval(samples),
        p_bootstrap=min(1.0, 2 * max(tail, 1 / len(samples))),
        p_randomisation=p_randomisation,
        wins=int((change > 0).sum()),
        losses=int((change < 0).sum()),
        ties=int((change == 0).sum()),
    )


def _randomisation(change: Floats, resamples: int, rng: np.random.Generator) -> float:
    """Two-sided p. Of c equal differences, a binomial number keep their sign: one draw for all of them."""
    sizes, counts = np.unique(np.abs(change[change != 0]), return_counts=True)
    if not len(sizes):
        return 1.0
    observed = abs(change.sum()) * (1 - 1e-12)  # sums in another order may differ in the last digit
    extreme = 0
    for size in _sizes(resamples, len(sizes)):
        kept = rng.binomial(counts, 0.5, (size, len(sizes)))
        extreme += int((np.abs((2 * kept - counts) @ sizes) >= observed).sum())
    return (extreme + 1) / (resamples + 1)
