"""Distances between rankings: the monitors of the paper's appendix A.2."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fidtools.typing import Floats, Ints

Ties = Literal["against", "gold"]


def ranking(gold_order_scores: ArrayLike, scores: ArrayLike, ties: Ties = "against") -> Ints:
    """Gold ranks (from 0) in the order of descending `scores`, (questions, passages); NaN scores come last.

    Both arrays are (questions, passages) or (passages,), the same passages in the same columns. The gold order is that
    of descending gold scores, the first column first among equals. Equal `scores` are ordered "against" the gold order,
    so that a collapsed model does not look good, or in "gold" order as in the reference (where a collapsed model looks
    perfect). Raises ValueError for arrays of different shapes.
    """
    gold, other = (np.atleast_2d(np.asarray(a, dtype=np.float64)) for a in (gold_order_scores, scores))
    if gold.shape != other.shape:
        raise ValueError(f"scores of different passages: shapes {gold.shape} and {other.shape}")
    in_gold_order: Floats = np.take_along_axis(other, np.argsort(-gold, axis=1, kind="stable"), axis=1)
    if ties == "gold":
        forwards: Ints = np.argsort(-in_gold_order, axis=1, kind="stable")
        return forwards
    backwards: Ints = np.argsort(-in_gold_order[:, ::-1], axis=1, kind="stable")
    turned: Ints = gold.shape[1] - 1 - backwards
    return turned


def inversions(gold_order_scores: ArrayLike, scores: ArrayLike, ties: Ties = "against") -> Ints:
    """The number of pairs of passages that `scores` orders opposite to gold, per question, in O(n log n)."""
    return count_inversions(ranking(gold_order_scores, scores, ties))


def count_inversions(ranks: NDArray[np.integer]) -> Ints:
    """The number of pairs i < j with ranks[i] > ranks[j], per row, counted in a merge sort of all rows at once."""
    rows, width = ranks.shape
    size = 1 << max(width - 1, 0).bit_length()
    behind = int(ranks.max(initial=0)) + 1  # padding comes last and in order: no inversions
    blocks = np.full((rows, size), behind, dtype=np.int64)
    blocks[:, :width] = ranks
    total = np.zeros(rows, dtype=np.int64)
    half = 1
    while half < size:
        pairs = blocks.reshape(rows, -1, 2 * half)  # two sorted halves each
        order = np.argsort(pairs, axis=2, kind="stable")
        place = np.argsort(order, axis=2, kind="stable")[:, :, half:]  # of the right half's elements, merged
        smaller_on_the_left = place - np.arange(half)
        total += (half - smaller_on_the_left).sum(axis=(1, 2))
        blocks = np.take_along_axis(pairs, order, axis=2).reshape(rows, size)
        half *= 2
    return total


def topk_overlap(gold_order_scores: ArrayLike, scores: ArrayLike, k: int, ties: Ties = "against") -> Floats:
    """The share of the first k by `scores` that are among the gold first k, per question (of all, when fewer)."""
    among: Floats = (ranking(gold_order_scores, scores, ties)[:, :k] < k).mean(axis=1, dtype=np.float64)
    return among


def cover_depth(gold_order_scores: ArrayLike, scores: ArrayLike, k: int, ties: Ties = "against") -> Ints:
    """How many passages, by descending `scores`, must be read to see all of the gold first k, per question."""
    wanted = ranking(gold_order_scores, scores, ties) < k
    depth: Ints = wanted.shape[1] - np.argmax(wanted[:, ::-1], axis=1)
    return depth
