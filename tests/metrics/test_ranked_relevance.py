"""Average precision and reciprocal rank against lists done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fidtools.metrics.ranked_relevance import average_precision, reciprocal_rank


@pytest.mark.parametrize(
    ("relevant", "total", "expected"),
    [
        ([1, 0, 1], None, (1 / 1 + 2 / 3) / 2),
        ([0, 0, 1, 1], None, (1 / 3 + 2 / 4) / 2),
        ([1, 0, 1], 4, (1 / 1 + 2 / 3) / 4),  # two relevant ones are not in the list
        ([0, 0], None, 0.0),
        ([0, 0], 3, 0.0),
        ([], None, 0.0),
    ],
)
def test_average_precision(relevant: list[int], total: int | None, expected: float) -> None:
    assert average_precision(np.array(relevant, dtype=bool), total) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("relevant", "depth", "expected"),
    [([1, 1], None, 1.0), ([0, 0, 1], None, 1 / 3), ([0, 0, 1], 3, 1 / 3), ([0, 0, 1], 2, 0.0), ([], None, 0.0)],
)
def test_reciprocal_rank(relevant: list[int], depth: int | None, expected: float) -> None:
    assert reciprocal_rank(np.array(relevant, dtype=bool), depth) == expected
