"""An attention function spelled out, under the name `slow` of the attention interface of transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

captured: list[tuple[Tensor, Tensor]] = []


def slow_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float, **options: Any
) -> tuple[Tensor, None]:
    """Attention spelled out, in float64; keeps what enters the softmax and the values, heads repeated."""
    groups = query.shape[1] // key.shape[1]
    key, value = (states.double().repeat_interleave(groups, 1) for states in (key, value))
    scores = torch.einsum("bhqd,bhkd->bhqk", query.double(), key) * scaling
    if (cap := options.get("softcap")) is not None:
        scores = torch.tanh(scores / cap) * cap
    captured.append((scores, value))
    weights = (scores + mask.double()).softmax(-1)
    return torch.einsum("bhqk,bhkd->bqhd", weights, value).to(query.dtype), None


AttentionInterface.register("slow", slow_attention)
AttentionMaskInterface.register("slow", eager_mask)
