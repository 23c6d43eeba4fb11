"""Distances between rankings: the reference's numbers, and slow definitions."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file

from fidtools.metrics.rank_correlation import kendall, rank_biased_overlap, spearman
from fidtools.metrics.rankings import count_inversions, cover_depth, inversions, ranking, topk_overlap
from tests import GOLDEN


def in_gold_order(scores):
    return np.tile(-np.arange(scores.shape[1]), (scores.shape[0], 1))


@pytest.fixture(scope="module")
def golden():
    numbers = json.loads((GOLDEN / "ranking.json").read_text())
    return numbers, load_file(GOLDEN / "ranking.safetensors")


def test_monitors_equal_the_reference(golden):
    numbers, arrays = golden
    for name, expected in numbers.items():
        if name.startswith("ties"):
            continue  # the order of equal scores was numpy's choice of the day
        gold = in_gold_order(arrays[name])
        for ties in ("gold",) if name == "nan" else ("gold", "against"):  # two NaNs are equal
            assert inversions(gold, arrays[name], ties).tolist() == expected["inversions"], name
            for k, shares in expected["avg_topk"].items():
                assert topk_overlap(gold, arrays[name], int(k), ties) == pytest.approx(shares)
                assert cover_depth(gold, arrays[name], int(k), ties).tolist() == expected["idx_topk"][k]


def test_inversions_of_the_reference_rankings_even_with_ties(golden):
    for expected in golden[0].values():
        assert count_inversions(np.array(expected["argsort"])).tolist() == expected["inversions"]


def test_a_collapsed_model_is_not_called_perfect():
    gold, same = np.array([[3.0, 2.0, 1.0, 0.0]]), np.zeros((1, 4))
    assert inversions(gold, same).tolist() == [6]
    assert topk_overlap(gold, same, 1).tolist() == [0.0]
    assert cover_depth(gold, same, 1).tolist() == [4]
    assert inversions(gold, same, "gold").tolist() == [0]


def test_gold_scores_in_any_order_and_single_rows():
    assert ranking([1.0, 3.0, 2.0], [0.5, 0.1, 0.9]).tolist() == [[1, 2, 0]]
    assert inversions([1.0, 3.0, 2.0], [0.5, 0.1, 0.9]).tolist() == [2]


def test_scores_of_different_passages_are_refused():
    with pytest.raises(ValueError, match="different passages"):
        inversions([[1.0, 2.0]], [[1.0, 2.0, 3.0]])


@given(arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(1, 17)), elements=st.integers(0, 20)))
def test_inversions_equal_counting_pairs(ranks):
    slow = [sum(a > b for a, b in combinations(row, 2)) for row in ranks.tolist()]
    assert count_inversions(ranks).tolist() == slow


SCORES = arrays(np.float64, (2, 7), elements=st.integers(0, 6).map(float))


@settings(deadline=None)  # the first call imports scipy
@given(SCORES, SCORES)
def test_correlations_equal_their_definitions(gold, other):
    stats = pytest.importorskip("scipy.stats")
    for row in range(2):
        for ours, theirs in ((kendall, stats.kendalltau), (spearman, stats.spearmanr)):
            with np.errstate(invalid="ignore"):
                constant = len(set(gold[row])) == 1 or len(set(other[row])) == 1
                value = float(ours(gold, other)[row])
            assert np.isnan(value) if constant else value == pytest.approx(theirs(gold[row], other[row]).statistic)


@given(st.permutations(range(6)), st.permutations(range(6)))
def test_rank_biased_overlap_equals_its_formula(first, second):
    a, b = (sorted(range(6), key=lambda i, s=scores: -s[i]) for scores in (first, second))
    agreement = [len(set(a[:d]) & set(b[:d])) / d for d in range(1, 7)]
    p = 0.9
    slow = agreement[-1] * p**6 + (1 - p) / p * sum(x * p**d for d, x in enumerate(agreement, 1))
    assert rank_biased_overlap(np.array([first], float), np.array([second], float))[0] == pytest.approx(slow)
