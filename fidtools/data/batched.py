"""A stream in lists of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of `size` items, the last one maybe shorter (`itertools.batched` of Python 3.12, as lists)."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
