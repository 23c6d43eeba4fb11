"""Average precision and reciprocal rank of one ranked list with binary relevance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def average_precision(relevant: NDArray[Any], total: int | None = None) -> float:
    """The mean precision at the ranks of the relevant items; 0 when there are none.

    `relevant` (n,) is true for relevant items, in ranked order. `total` is the number of relevant items there are,
    where some may not be in the list; each of those counts as precision 0.

    >>> average_precision(np.array([True, False, True]))
    0.8333333333333333
    """
    ranks = np.flatnonzero(relevant) + 1
    total = len(ranks) if total is None else total
    return float((np.arange(1, len(ranks) + 1) / ranks).sum() / total) if len(ranks) else 0.0


def reciprocal_rank(relevant: NDArray[Any], depth: int | None = None) -> float:
    """1 / rank of the first relevant item, within the first `depth` where that is given; 0 without one.

    >>> reciprocal_rank(np.array([False, True, True]))
    0.5
    """
    ranks = np.flatnonzero(relevant[:depth]) + 1
    return 1 / float(ranks[0]) if len(ranks) else 0.0
