"""Intervals and paired tests against obvious versions."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fidtools.evaluation.significance import (
    bootstrap_interval,
    compare,
    compare_pooled,
    resampled_means,
    resampled_sums,
)


def test_resampled_means_are_those_of_drawing_questions():
    values = np.array([0.0, 0.0, 1.0, 3.0, 7.0])
    rng = np.random.default_rng(1)
    fast = resampled_means(values, 200_000, np.random.default_rng(0))
    slow = values[rng.integers(0, 5, (200_000, 5))].mean(axis=1)
    assert fast.mean() == pytest.approx(values.mean(), abs=0.02)
    assert fast.std() == pytest.approx(values.std() / 5**0.5, rel=0.01)
    assert np.quantile(fast, [0.025, 0.5, 0.975]) == pytest.approx(np.quantile(slow, [0.025, 0.5, 0.975]), abs=0.11)


def test_resampled_sums_have_the_right_mean_and_spread():
    statistics = np.array([[1.0, 10.0], [2.0, 0.0], [6.0, 5.0]])
    sums = resampled_sums(statistics, 100_000)
    assert sums.mean(axis=0) == pytest.approx(statistics.sum(axis=0), rel=0.01)
    assert sums.std(axis=0) == pytest.approx(statistics.std(axis=0) * 3**0.5, rel=0.01)


def test_the_interval_is_the_same_every_time_and_needs_two_questions():
    values = np.arange(100, dtype=float)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    low, high = bootstrap_interval(values)
    assert low < 49.5 < high
    assert bootstrap_interval(np.array([1.0])) is None


def test_randomisation_equals_trying_every_swap():
    a = np.array([0.0, 0.0, 1.0, 0.2, 0.0, 0.5, 0.0, 0.0])
    b = np.array([1.0, 1.0, 0.0, 0.9, 1.0, 0.5, 1.0, 0.3])
    change = b - a
    swaps = [abs(np.dot(signs, change)) for signs in product((-1, 1), repeat=len(change))]
    exact = np.mean(np.array(swaps) >= abs(change.sum()) - 1e-9)
    assert compare(a, b, resamples=100_000).p_randomisation == pytest.approx(exact, abs=0.005)


def test_equal_systems_and_clear_winners():
    same = np.array([0.0, 1.0, 1.0, 0.0])
    tie = compare(same, same)
    assert (tie.difference, tie.interval, tie.p_bootstrap, tie.p_randomisation) == (0.0, (0.0, 0.0), 1.0, 1.0)
    assert (tie.wins, tie.losses, tie.ties) == (0, 0, 4)
    win = compare(np.zeros(50), np.ones(50))
    assert win.difference == 1.0
    assert win.p_bootstrap == pytest.approx(2 / 10_000)
    assert win.p_randomisation == pytest.approx(1 / 10_001)
    assert (win.wins, win.losses, win.ties) == (50, 0, 0)


def test_other_questions_are_refused():
    with pytest.raises(ValueError, match="the same questions"):
        compare(np.zeros(3), np.zeros(4))


def ratio(sums):
    """A number of all questions together: right words per word."""
    return sums[:, 0] / sums[:, 1]


def test_a_number_of_sums_is_tested_as_trying_every_swap_and_draw_would():
    a = np.array([[1.0, 4.0], [0.0, 2.0], [3.0, 9.0], [1.0, 1.0], [0.0, 3.0], [2.0, 8.0]])
    b = np.array([[2.0, 3.0], [2.0, 2.0], [3.0, 4.0], [0.0, 1.0], [1.0, 3.0], [4.0, 8.0]])
    found = compare_pooled(a, b, ratio, np.array([1.0, 1.0, 0.0, -1.0, 1.0, 1.0]), resamples=60_000)
    observed = b[:, 0].sum() / b[:, 1].sum() - a[:, 0].sum() / a[:, 1].sum()
    assert found.difference == pytest.approx(observed)
    swaps = [np.array(swap, dtype=bool)[:, None] for swap in product((False, True), repeat=6)]
    both = [(np.where(s, b, a).sum(axis=0)[None], np.where(s, a, b).sum(axis=0)[None]) for s in swaps]
    exact = np.mean([abs(ratio(y) - ratio(x))[0] >= abs(observed) - 1e-9 for x, y in both])
    assert found.p_randomisation == pytest.approx(exact, abs=0.01)
    draws = np.random.default_rng(1).integers(0, 6, (60_000, 6))
    slow = ratio(b[draws].sum(axis=1)) - ratio(a[draws].sum(axis=1))
    assert found.interval == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.01)
    assert (found.wins, found.losses, found.ties) == (4, 1, 1)
