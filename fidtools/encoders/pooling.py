"""Pooling of hidden states into one vector per text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # commands take the names below, and start fast without torch
    from torch import Tensor

Pooling = Literal["cls", "mean", "max"]
POOLINGS: tuple[str, ...] = get_args(Pooling)


def pool(hidden: Tensor, mask: Tensor, how: Pooling) -> Tensor:
    """One vector per text, (n, d) in float32, from the hidden states (n, l, d); `mask` (n, l) is 1 on real tokens.

    `cls` takes the first token (Izacard & Grave, section 3.3), `mean` averages the real tokens (FiD's released models),
    `max` takes the largest value of each component (the LSTM and CNN of Tan et al. and of Shakeri et al.). Every text
    needs at least one real token.
    """
    if how == "cls":
        return hidden[:, 0].float()
    real = mask.bool().unsqueeze(-1)  # (n, l, 1)
    if how == "max":
        return hidden.float().masked_fill(~real, -math.inf).amax(dim=1)
    summed = hidden.float().masked_fill(~real, 0.0).sum(dim=1)
    return summed / real.sum(dim=1)
