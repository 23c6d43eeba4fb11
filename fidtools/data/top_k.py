"""The result of a search, by BM25 or by vectors, and the merging of results from parts of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fidtools.typing import Array


@dataclass(frozen=True)
class TopK:
    """The best rows by descending score, equal scores by ascending row.

    Both arrays are m × (at most k) for m questions, or have one dimension for a single question. Row −1 with score −∞
    stands for no passage. Scores are the engine's; those of exact search are inner products computed in float64 and
    rounded once to float32, so that they depend on the two vectors only: not on blocks, batches, threads, devices or
    ranks.
    """

    rows: Array
    scores: Array

    @classmethod
    def of(cls, rows: Array, scores: Array, k: int) -> TopK:
        """The `k` best of some candidates (c, or m × c)."""
        order = np.lexsort((rows, -scores))[..., :k]
        return cls(np.take_along_axis(rows, order, -1), np.take_along_axis(scores, order, -1))

    @classmethod
    def merge(cls, parts: Sequence[TopK], k: int) -> TopK:
        """The `k` best of each question's candidates in all parts."""
        rows = np.concatenate([part.rows for part in parts], axis=-1)
        scores = np.concatenate([part.scores for part in parts], axis=-1)
        return cls.of(rows, scores, k)

    @classmethod
    def stacked(cls, parts: Sequence[TopK]) -> TopK:
        """The results of several sets of questions, one set after another."""
        return cls(np.concatenate([part.rows for part in parts]), np.concatenate([part.scores for part in parts]))

    @classmethod
    def empty(cls, *shape: int) -> TopK:
        """No candidates, in arrays of that shape (which has a 0)."""
        return cls(np.empty(shape, np.int64), np.empty(shape, np.float32))

    def question(self, number: int) -> TopK:
        """The result of one of the m questions, still two-dimensional (1 × k)."""
        return TopK(self.rows[number : number + 1], self.scores[number : number + 1])
