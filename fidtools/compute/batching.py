"""Batches of token sequences of similar length, bounded by a number of tokens, and what two sequences share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fidtools.errors import UsageError

PADDING_TOLERANCE = 0.01
"""How much of the largest number padding may change: it is some 1e-6 where padding is masked, else 0.1 to 1."""


def budget_batches(
    lengths: Sequence[int], token_budget: int, *, multiple: int = 1, min_fill: float = 0.0
) -> list[list[int]]:
    """Indices of sequences in batches, longest first, each of at most `token_budget` tokens with its padding.

    A batch is as wide as its longest sequence, rounded up to `multiple`. A sequence whose own width is below `min_fill`
    of that begins another batch, so that little is computed for padding. One longer than the budget is alone.
    """
    batches: list[list[int]] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        own = padded_length(lengths[index], multiple)
        if not batches or (len(batches[-1]) + 1) * width > token_budget or own < min_fill * width:
            batches.append([])
            width = own
        batches[-1].append(index)
    return batches


def padded_length(length: int, multiple: int) -> int:
    """The least multiple of `multiple` that holds `length` tokens, and at least one."""
    return max(1, -(-length // multiple)) * multiple


def pad_sequences(sequences: Sequence[Sequence[int]], pad_id: int, width: int | None = None) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both (n, width), padded on the right; `width` is by default the longest length."""
    longest = width or max(len(sequence) for sequence in sequences)
    ids = np.full((len(sequences), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(sequences), longest), dtype=np.int64)
    for i, sequence in enumerate(sequences):
        ids[i, : len(sequence)] = sequence
        mask[i, : len(sequence)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def padding_id(tokenizer: Any) -> int:
    """The id of the tokenizer's padding token, or 0 if it has none: padding is masked, so any id will do."""
    return 0 if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)


@torch.inference_mode()
def check_padding(
    name: object,
    compute: Callable[[Tensor, Tensor], Tensor],
    pad_id: int,
    rows: int,
    hint: str = "give a model that leaves padding out, such as bert-base-uncased",
) -> None:
    """Try a model, so that one that cannot compute is known before any work, and whether it leaves padding out.

    `compute` takes ids below `rows` and their mask (n, l) to numbers for each text (n, …). Raises UsageError
    when those of a text depend on the padding beside it (ConvBERT, FNet, Nyströmformer, YOSO): then they depend on
    which other texts are in the batch.
    """
    usual = [token for token in range(min(rows, 32)) if token != pad_id] or [0]
    texts = [[usual[step * place % len(usual)] for place in range(length)] for length, step in ((3, 1), (9, 2))]
    alone, beside = (compute(*pad_sequences(several, pad_id))[0] for several in (texts[:1], texts))
    if (alone - beside).abs().max() > PADDING_TOLERANCE * alone.abs().max():
        problem = "what it says of a text depends on the padding beside it, so on the other texts of a batch"
        raise UsageError(f"{name}: {problem}", hint=hint)


def equal_tokens(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
