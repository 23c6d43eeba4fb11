"""The arithmetic of one attention layer: through PyTorch's fused attention, or eagerly, with or without its scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from fidtools.compute.precision import eager_attention_is_faster


@dataclass
class LayerAttention:
    """One layer's attention to the passages in one pass, before the softmax."""

    scores: Tensor  # (batch, heads, output tokens, input tokens), float32: what enters the softmax, without the mask
    values: Tensor | None = None  # (batch, heads, input tokens, size); None where none were made
    log_total: Tensor | None = None
    """log Σ exp(score) over all that the softmax sees, (batch, heads, output tokens); None: over `scores` alone."""


@dataclass(frozen=True)
class AttentionCall:
    """What `transformers` passes to an attention function."""

    module: nn.Module
    query: Tensor  # (batch, heads, queries, size)
    key: Tensor  # (batch, key heads, keys, size)
    value: Tensor  # (batch, key heads, keys, size)
    mask: Tensor | None  # boolean (True: attend), or added to the scores
    position_bias: Tensor | None  # added to the scores
    options: dict[str, Any]

    has_keys: ClassVar[bool] = True
    """Whether `key` and `value` are keys and values."""

    def all_heads(self, states: Tensor) -> Tensor:
        """Keys or values of grouped heads, repeated so that every query head has its own."""
        groups = self.query.shape[1] // states.shape[1]
        return states if groups == 1 else states.repeat_interleave(groups, dim=1)

    def in_float32(self) -> AttentionCall:
        """The same call, its numbers in float32."""
        return replace(self, query=self.query.float(), key=self.key.float(), value=self.value.float())

    def dot_products(self, query: Tensor) -> Tensor:
        """Each query (of any scale) times each key: (batch, heads, queries, keys)."""
        return query @ self.all_heads(self.key).transpose(2, 3)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """The values weighted by (batch, heads, queries, keys): (batch, heads, queries, size)."""
        return weights @ self.all_heads(self.value)


def attention(call: AttentionCall) -> tuple[Tensor, Tensor | None]:
    """The output (batch, queries, heads, size), and the weights where they are computed.

    SDPA computes it, except where it cannot (capped scores, no keys) or is slower (bf16 on a CPU).
    """
    capped = call.options.get("softcap") is not None
    if capped or not call.has_keys or eager_attention_is_faster(call.query.device, call.query.dtype):
        return _weighted_values(call, _scores(call))
    output: tuple[Tensor, None] = sdpa_attention_forward(
        call.module, call.query, call.key, call.value, call.mask, position_bias=call.position_bias, **call.options
    )
    return output


def attention_with_scores(call: AttentionCall) -> tuple[LayerAttention, tuple[Tensor, Tensor]]:
    """Attention in float32 whatever the precision, for exact scores: what to keep of it, and its result."""
    with torch.autocast(call.query.device.type, enabled=False):
        exact = call.in_float32()
        scores = _scores(exact)
        values = call.all_heads(call.value) if call.has_keys else None
        layer = LayerAttention(scores.clone() if call.mask is not None else scores, values)
        output, weights = _weighted_values(exact, scores)
        return layer, (output.to(call.query.dtype), weights)


def exact_scores(call: AttentionCall) -> Tensor:
    """What enters the softmax, without the mask, in float32 whatever the precision: (batch, heads, queries, keys)."""
    with torch.autocast(call.query.device.type, enabled=False):
        return _scores(replace(call, query=call.query.float(), key=call.key.float()))


def _scores(call: AttentionCall) -> Tensor:
    """What enters the softmax, without the mask: (batch, heads, queries, keys)."""
    query, scaling = call.query, call.options.get("scaling")
    factor = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = call.dot_products(query if factor == 1 else query * factor)
    if (cap := call.options.get("softcap")) is not None:
        scores = torch.tanh(scores / cap) * cap
    return scores if call.position_bias is None else scores.add_(call.position_bias.to(scores.dtype).contiguous())


def _weighted_values(call: AttentionCall, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Mask the scores in place, and weight the values by their softmax."""
    mask, queries, keys = call.mask, *scores.shape[-2:]
    if mask is None and getattr(call.module, "is_causal", False):  # the library leaves a plain causal mask to SDPA
        mask = torch.ones((queries, keys), dtype=torch.bool, device=scores.device).tril(keys - queries)
    if mask is not None:
        lowest = torch.finfo(scores.dtype).min
        scores = scores.masked_fill_(~mask, lowest) if mask.dtype == torch.bool else scores.add_(mask)
    weights = torch.softmax(scores, -1)
    if call.module.training and call.options.get("dropout"):
        weights = nn.functional.dropout(weights, p=call.options["dropout"])
    return call.weighted_sum(weights).transpose(1, 2).contiguous(), weights
