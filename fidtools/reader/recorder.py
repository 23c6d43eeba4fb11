"""Recording a model's cross-attention through the attention interface of `transformers`.

A model whose attention implementation is named `fidtools` calls `attention_forward` for every attention layer. Which of
its modules attend to the encoder is found by one probe: a decoder step over an input of three vectors, in which the
cross-attention layers are those with three keys.
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
from transformers.masking_utils import sdpa_mask
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import logging

from fidtools.errors import FidtoolsError
from fidtools.reader.attention import AttentionCall, LayerAttention, attention, attention_with_scores
from fidtools.reader.position_bias import cross_attention_bias

NAME = "fidtools"
PROBE_KEYS = 3


@dataclass(eq=False)
class CrossAttentionRecorder:
    """Records the cross-attention of one model, and adds `bias` to it. `problem` is why it cannot record."""

    problem: str | None = None
    bias: nn.Embedding | None = None
    layers: list[LayerAttention] | None = None
    offset: int = 0
    cross: set[nn.Module] = field(default_factory=set)

    def check(self) -> None:
        """Raises FidtoolsError when the model's cross-attention cannot be recorded."""
        if self.problem is not None:
            hint = "supported: T5, BART, mBART, T5Gemma and EncoderDecoderModel"
            raise FidtoolsError(self.problem, hint=hint)

    @contextmanager
    def recording(self) -> Iterator[list[LayerAttention]]:
        """Inside the block the cross-attention is recorded: one entry for each decoder layer and pass, in order.

        Raises FidtoolsError when the model's cross-attention cannot be recorded.
        """
        self.check()
        self.layers = []
        try:
            yield self.layers
        finally:
            self.layers = None


_recorders: WeakKeyDictionary[nn.Module, CrossAttentionRecorder] = WeakKeyDictionary()
_probed: list[tuple[nn.Module, int]] | None = None


def attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """One attention layer, as `transformers` calls it; a recorded model's cross-attention is biased and recorded."""
    if _probed is not None:
        _probed.append((module, key.shape[2]))
    recorder, layers = _recorders.get(module), None
    if recorder is not None and module not in recorder.cross:
        recorder.offset = key.shape[2] - query.shape[2]
    elif recorder is not None:
        layers = recorder.layers
        if recorder.bias is not None:
            position_bias = cross_attention_bias(recorder.bias, recorder.offset, query.shape[2], key.shape[2])
    call = AttentionCall(module, query, key, value, attention_mask, position_bias, kwargs)
    if layers is None:
        return attention(call)
    layer, result = attention_with_scores(call)
    layers.append(layer)
    return result


AttentionInterface.register(NAME, attention_forward)
AttentionMaskInterface.register(NAME, sdpa_mask)


def install_recorder(model: Any, bias: nn.Embedding | None = None) -> CrossAttentionRecorder:
    """Route a model's attention through `attention_forward`. `bias` is added to the cross-attention of every layer.

    A model that does not use the attention interface, or has no separate cross-attention, still reads; its recorder
    then has a `problem`.
    """
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)  # its warning about models without the interface is what `problem` says
    model.set_attn_implementation(NAME)
    logging.set_verbosity(before)
    calls = _probe(model)
    cross = {module for module, keys in calls if keys == PROBE_KEYS}
    recorder = CrossAttentionRecorder(None if cross else _problem(model, calls), bias, cross=cross)
    for module, _ in calls:
        _recorders[module] = recorder
    return recorder


def _problem(model: Any, calls: list[tuple[nn.Module, int]]) -> str:
    merged = any(keys > PROBE_KEYS for _, keys in calls)
    reason = "attends to input and output in one softmax" if merged else "does not use the attention interface"
    return f"{type(model).__name__} {reason}: its cross-attention cannot be separated, so there are no scores"


def _probe(model: Any) -> list[tuple[nn.Module, int]]:
    """The attention modules of one decoder step over three input vectors, in order, with their numbers of keys."""
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
