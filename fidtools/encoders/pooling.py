"""Pooling of hidden states into one vector per text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # commands take the names below, and start fast without torch
    from torch import Tensor

Pooling = Literal["cls", "mean", "max", "last", "weighted-mean", "mean-sqrt"]
POOLINGS: tuple[str, ...] = get_args(Pooling)


def pool(hidden: Tensor, mask: Tensor, how: Pooling) -> Tensor:
    """One vector per text, (n, d) in float32, from the hidden states (n, l, d); `mask` (n, l) is 1 on real tokens.

    `cls` takes the first token (Izacard & Grave, section 3.3), `mean` averages the real tokens (FiD's released models),
    `max` takes the largest value of each component (the LSTM and CNN of Tan et al. and of Shakeri et al.). `last` takes
    the last real token, the only one that has seen the whole text in a causal model (Wang et al., 2024; e5-mistral).
    `weighted-mean` weights tokens by their position from 1 (Muennighoff, 2022; SGPT), `mean-sqrt` divides the sum by
    the square root of the number of tokens. All but `cls` are right under either padding side. Every text needs at
    least one real token.
    """
    if how == "cls":
        return hidden[:, 0].float()
    real = mask.bool().unsqueeze(-1)  # (n, l, 1)
    if how == "last":
        return _last(hidden, mask).float()
    if how == "max":
        return hidden.float().masked_fill(~real, -math.inf).amax(dim=1)
    if how == "weighted-mean":
        weights = (mask.cumsum(dim=1) * mask).unsqueeze(-1).float()  # (n, l, 1)
        return (hidden.float().masked_fill(~real, 0.0) * weights).sum(dim=1) / weights.sum(dim=1)
    summed = hidden.float().masked_fill(~real, 0.0).sum(dim=1)
    count = real.sum(dim=1)
    return summed / (count.sqrt() if how == "mean-sqrt" else count)


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    """The hidden states (n, d) of the last tokens that `mask` (n, l) marks."""
    last = mask.cumsum(dim=1).argmax(dim=1)  # the first position at which the count of real tokens is complete
    return hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[-1])).squeeze(1)
