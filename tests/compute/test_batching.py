"""Batches by length and token budget, and lists of one size."""

from __future__ import annotations

from fidtools.compute.batching import budget_batches, padded_length
from fidtools.data.batched import batched


def test_batches_of_descending_length_keep_within_the_budget() -> None:
    assert budget_batches([3, 9, 4, 2, 9, 30, 1], 20) == [[5], [1, 4], [2, 0, 3, 6]]
    assert budget_batches([5, 5, 5], 1) == [[0], [1], [2]], "one longer than the budget is alone"
    assert budget_batches([], 20) == []


def test_a_sequence_much_shorter_than_its_batch_begins_another() -> None:
    lengths = [16, 15, 8, 7]
    assert budget_batches(lengths, 100) == [[0, 1, 2, 3]]
    assert budget_batches(lengths, 100, min_fill=7 / 8) == [[0, 1], [2, 3]]


def test_the_budget_counts_the_padding_to_the_multiple() -> None:
    assert budget_batches([5, 5, 5], 16) == [[0, 1, 2]]
    assert budget_batches([5, 5, 5], 16, multiple=8) == [[0, 1], [2]]
    assert [padded_length(n, 8) for n in (0, 1, 8, 9)] == [8, 8, 8, 16]


def test_lists_of_one_size_and_the_rest() -> None:
    assert list(batched(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batched([], 3)) == []


def test_no_more_is_drawn_than_one_list() -> None:
    items = iter(range(7))
    assert next(batched(items, 3)) == [0, 1, 2]
    assert next(items) == 3
