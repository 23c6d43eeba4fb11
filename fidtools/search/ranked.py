"""What a search returns, and how the results of parts of a corpus become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fidtools.typing import Array


@dataclass(frozen=True)
class Ranked:
    """For each of m questions its best rows, by falling score, equal scores by rising row: both arrays m × min(k, n).

    A score is the inner product rounded once to float32 (computed in float64), so that it depends on the two vectors
    only: not on blocks, batches, threads, devices or ranks.
    """

    rows: Array
    scores: Array


def merged(parts: Sequence[Ranked], k: int) -> Ranked:
    """The `k` best of each question's rows in all parts."""
    rows = np.concatenate([part.rows for part in parts], axis=1)
    scores = np.concatenate([part.scores for part in parts], axis=1)
    return best(rows, scores, k)


def best(rows: Array, scores: Array, k: int) -> Ranked:
    """The `k` best columns of each line (m × c) of candidates."""
    order = np.lexsort((rows, -scores))[:, :k]
    return Ranked(np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1))
