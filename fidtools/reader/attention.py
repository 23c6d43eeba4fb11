"""Cross-attention through the attention interface of `transformers`: telling it apart, recording it, biasing it.

A model whose attention implementation is named `fidtools` calls `attend` for every attention layer. Which of its
modules attend to the encoder is found by one probe: a decoder step over an input of three vectors, in which
cross-attention is what sees three keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import ERROR
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import logging

from fidtools.compute.precision import eager_attention_is_faster
from fidtools.errors import FidtoolsError

NAME = "fidtools"
PROBE_KEYS = 3


@dataclass
class Layer:
    """One decoder layer's cross-attention in one pass, before the softmax."""

    scores: Tensor  # (batch, heads, output tokens, input tokens), float32: what enters the softmax, mask left out
    values: Tensor  # (batch, heads, input tokens, size)


@dataclass(eq=False)
class Taps:
    """What happens in one model's decoder attention beyond attending. `problem` says why nothing can be recorded."""

    problem: str | None = None
    bias: nn.Embedding | None = None
    recorded: list[Layer] | None = None
    offset: int = 0
    cross: set[nn.Module] = field(default_factory=set)

    def check(self) -> None:
        """Raises FidtoolsError when the model's cross-attention cannot be told apart."""
        if self.problem is not None:
            hint = "readers of the T5, BART, mBART, T5Gemma and EncoderDecoderModel kinds give scores"
            raise FidtoolsError(self.problem, hint=hint)


_taps: WeakKeyDictionary[nn.Module, Taps] = WeakKeyDictionary()
_probed: list[tuple[nn.Module, int]] | None = None


def attend(
    module: nn.Module,
    query: Tensor,  # (batch, heads, queries, size)
    key: Tensor,  # (batch, key heads, keys, size)
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """One attention layer, as `transformers` calls it. Decoder layers of a tapped model are recorded or biased.

    SDPA computes it, except where it cannot (capped scores) or is slower (bf16 on a CPU, see benchmarks/reader.md).
    """
    if _probed is not None:
        _probed.append((module, key.shape[2]))
    taps = _taps.get(module)
    if taps is not None and module not in taps.cross:
        taps.offset = key.shape[2] - query.shape[2]
    elif taps is not None:
        if taps.bias is not None:
            position_bias = cross_bias(taps.bias, taps.offset, query.shape[2], key.shape[2])
        if taps.recorded is not None:
            layer, result = _recorded(module, query, key, value, attention_mask, position_bias, kwargs)
            taps.recorded.append(layer)
            return result
    if kwargs.get("softcap") is not None or eager_attention_is_faster(query.device, query.dtype):
        return _spelled_out(module, query, key, value, attention_mask, position_bias, kwargs)
    output: tuple[Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, position_bias=position_bias, **kwargs
    )
    return output


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)


def _raw_scores(query: Tensor, key: Tensor, position_bias: Tensor | None, kwargs: dict[str, Any]) -> Tensor:
    """What enters the softmax, without the mask: (batch, heads, queries, keys)."""
    scaling = kwargs.get("scaling")
    factor = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores: Tensor = (query if factor == 1 else query * factor) @ _all_heads(key, query).transpose(2, 3)
    if (cap := kwargs.get("softcap")) is not None:
        scores = torch.tanh(scores / cap) * cap
    return scores if position_bias is None else scores.add_(position_bias.to(scores.dtype).contiguous())


def _all_heads(states: Tensor, query: Tensor) -> Tensor:
    """Keys or values of grouped heads, repeated so that every query head has its own."""
    groups = query.shape[1] // states.shape[1]
    return states if groups == 1 else states.repeat_interleave(groups, dim=1)


def _recorded(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    position_bias: Tensor | None,
    kwargs: dict[str, Any],
) -> tuple[Layer, tuple[Tensor, Tensor]]:
    """Attention in float32 whatever the precision, for the sake of its scores: what to keep of it, and its result."""
    with torch.autocast(query.device.type, enabled=False):
        scores = _raw_scores(query.float(), key.float(), position_bias, kwargs)
        layer = Layer(scores.clone() if mask is not None else scores, _all_heads(value, query))
        output, weights = _weighted(module, scores, query, key, value.float(), mask, kwargs)
        return layer, (output.to(query.dtype), weights)


def _spelled_out(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    position_bias: Tensor | None,
    kwargs: dict[str, Any],
) -> tuple[Tensor, Tensor]:
    """Attention as matrix products and a softmax, in place where that is possible."""
    scores = _raw_scores(query, key, position_bias, kwargs)
    return _weighted(module, scores, query, key, value, mask, kwargs)


def _weighted(
    module: nn.Module,
    scores: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    kwargs: dict[str, Any],
) -> tuple[Tensor, Tensor]:
    """Mask scores in place, and weigh the values by their softmax."""
    if mask is None and getattr(module, "is_causal", False):  # the library leaves a plain causal mask to SDPA
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(key.shape[2] - query.shape[2])
    if mask is not None:
        floor = torch.finfo(scores.dtype).min
        scores = scores.masked_fill_(~mask, floor) if mask.dtype == torch.bool else scores.add_(mask)
    weights = torch.softmax(scores, -1)
    if module.training and kwargs.get("dropout"):
        weights = nn.functional.dropout(weights, p=kwargs["dropout"])
    return (weights @ _all_heads(value, query)).transpose(1, 2).contiguous(), weights


def cross_bias(table: nn.Embedding, offset: int, queries: int, keys: int) -> Tensor:
    """Position bias of the cross-attention of released FiD readers: (1, heads, queries, keys).

    transformers 3 gave the first decoder layer's cross-attention a table of T5's relative positions, one-directional,
    used by all layers; later versions have none. The decoder's position `offset` + i looks at input token j.
    """
    device = table.weight.device
    position = torch.arange(offset, offset + queries, device=device)[:, None]
    distance = (position - torch.arange(keys, device=device)[None, :]).clamp(min=0)
    values: Tensor = table(one_directional_buckets(distance, table.num_embeddings))  # (queries, keys, heads)
    return values.permute(2, 0, 1)[None]


def one_directional_buckets(distance: Tensor, buckets: int, longest: int = 128) -> Tensor:
    """T5's bucket of each distance ≥ 0 to an earlier token: half are exact, the rest logarithmic up to `longest`."""
    exact = buckets // 2
    ratio = torch.log(distance.clamp(min=1).float() / exact) / torch.log(torch.tensor(longest / exact))
    far = (exact + (ratio * (buckets - exact)).long()).clamp(max=buckets - 1)
    return torch.where(distance < exact, distance, far)


def tap(model: Any, bias: nn.Embedding | None = None) -> Taps:
    """Route a model's attention through `attend`, and find its cross-attention. `bias` is added to it in every layer.

    A model whose attention does not pass through the interface, or is not separate, still reads; its taps say so.
    """
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)  # what it says about models without the interface, `problem` says
    model.set_attn_implementation(NAME)
    logging.set_verbosity(before)
    calls = _probe(model)
    cross = {module for module, keys in calls if keys == PROBE_KEYS}
    taps = Taps(None if cross else _problem(model, calls), bias, cross=cross)
    for module, _ in calls:
        _taps[module] = taps
    return taps


def _problem(model: Any, calls: list[tuple[nn.Module, int]]) -> str:
    merged = any(keys > PROBE_KEYS for _, keys in calls)
    reason = "attends to input and output in one softmax" if merged else "does not use the attention interface"
    return f"{type(model).__name__} {reason}: its cross-attention cannot be separated, so there are no scores"


def _probe(model: Any) -> list[tuple[nn.Module, int]]:
    """The attention modules of one decoder step over three input vectors, in order, with the keys each saw."""
    global _probed
    encoder, weight = model.get_encoder(), next(model.parameters())
    states = torch.zeros(
        1, PROBE_KEYS, encoder.config.get_text_config().hidden_size, dtype=weight.dtype, device=weight.device
    )
    start = torch.zeros(1, 1, dtype=torch.long, device=weight.device)
    _probed, training = [], model.training
    try:
        with torch.inference_mode():
            model.eval()(
                encoder_outputs=BaseModelOutput(last_hidden_state=cast(Any, states)),
                decoder_input_ids=start,
                use_cache=False,
            )
        return _probed
    finally:
        _probed = None
        model.train(training)


@contextmanager
def recording(taps: Taps) -> Iterator[list[Layer]]:
    """Inside the block the model's cross-attention is recorded, one `Layer` for each decoder layer and pass.

    Raises FidtoolsError when it cannot be told apart.
    """
    taps.check()
    taps.recorded = []
    try:
        yield taps.recorded
    finally:
        taps.recorded = None
