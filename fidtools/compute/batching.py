"""Batches of texts of similar length, bounded by a number of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fidtools.compute.prefetch import T

Rows = NDArray[np.int64]


def budget_batches(lengths: Sequence[int], token_budget: int) -> list[Rows]:
    """Rows in batches of falling length, each at most `token_budget` tokens with its padding (or a single row)."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, token_budget // max(1, lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def pad_sequences(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both (n, longest), padded on the right with `pad_id`."""
    longest = max(len(sequence) for sequence in sequences)
    ids = np.full((len(sequences), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(sequences), longest), dtype=np.int64)
    for i, sequence in enumerate(sequences):
        ids[i, : len(sequence)] = sequence
        mask[i, : len(sequence)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def blocks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of `size` items, the last one shorter."""
    remaining = iter(items)
    while block := list(islice(remaining, size)):
        yield block


def padding_id(tokenizer: Any) -> int:
    """The id of the tokenizer's padding token, or 0 if it has none: padding is masked, so any id will do."""
    return 0 if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
