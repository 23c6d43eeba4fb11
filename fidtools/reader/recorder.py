"""Recording a model's cross-attention through the attention interface of `transformers`.

A model whose attention implementation is named `fidtools` calls `attention_forward` for every attention layer. Which of
its modules attend to the encoder is found by one probe: a decoder step over an input of three vectors, in which the
cross-attention layers are those with three keys. Where a layer has four (T5Gemma 2), it attends to the output and the
input in one softmax, and the last three are the input's. The probe also finds the projections that make keys and
values, whose weights can be absorbed (`fidtools.reader.absorption`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
from fidtools.logs import log
from fidtools.reader.absorption import (
    AbsorbedCall,
    LinearCalls,
    Projections,
    StandIn,
    find_projections,
    without_projections,
)
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
    projections: dict[nn.Module, Projections] = field(default_factory=dict)
    """Of the cross-attention modules, or empty when they cannot be absorbed."""
    absorbed: dict[nn.Module, StandIn] = field(default_factory=dict)
    """Stand-ins for the projections of absorbed modules, over encodings with `beams` equal rows for each question."""
    beams: int = 1
    needs_values: bool = False
    merged: bool = False
    """Whether one softmax is over the keys of the output's tokens and, behind them, the input's."""

    def check(self) -> None:
        """Raises FidtoolsError when the model's cross-attention cannot be recorded."""
        if self.problem is not None:
            hint = "supported: T5, BART, mBART, T5Gemma, T5Gemma 2 and EncoderDecoderModel"
            raise FidtoolsError(self.problem, hint=hint)

    @contextmanager
    def recording(self, *, values: bool = False) -> Iterator[list[LayerAttention]]:
        """Inside the block the cross-attention is recorded: one entry for each decoder layer and pass, in order.

        Only with `values` are the values of all tokens sure to be among them. Raises FidtoolsError when the model's
        cross-attention cannot be recorded.
        """
        self.check()
        self.layers, self.needs_values = [], values
        try:
            yield self.layers
        finally:
            self.layers, self.needs_values = None, False

    def attend(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """The model's cross-attention in one layer: biased, absorbed and recorded, as it is asked for."""
        if self.bias is not None:
            bias = cross_attention_bias(self.bias, self.offset, call.query.shape[2], call.key.shape[2])
            call = replace(call, position_bias=bias)
        if call.module in self.absorbed:
            encodings = cast(Tensor, self.absorbed[call.module].encodings)
            call = AbsorbedCall.of(call, self.projections[call.module], encodings[:: self.beams])
        if self.layers is None:
            return attention(call)
        layer, result = attention_with_scores(call)
        self.layers.append(_input_part(layer) if self.merged else layer)
        return result

    @contextmanager
    def absorbing(self, queries: int = 1, beams: int = 1) -> Iterator[bool]:
        """Inside the block cross-attention does without keys and values, if the model allows it and it saves work.

        `queries` is the number of output tokens of a pass, `beams` that of equal rows of encodings for each question.
        Yields whether it does. Not for training: dropped weights do not add up to 1.
        """
        saves = all(found.saves(queries) for found in self.projections.values())
        self.beams = beams
        try:
            with without_projections(self.projections if saves and not self.needs_values else {}) as self.absorbed:
                yield bool(self.absorbed)
        finally:
            self.absorbed, self.beams = {}, 1


_recorders: WeakKeyDictionary[nn.Module, CrossAttentionRecorder] = WeakKeyDictionary()
_probed: list[AttentionCall] | None = None


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
    call = AttentionCall(module, query, key, value, attention_mask, position_bias, kwargs)
    if _probed is not None:
        _probed.append(call)
    recorder = _recorders.get(module)
    if recorder is None:
        return attention(call)
    if module not in recorder.cross:
        recorder.offset = key.shape[2] - query.shape[2]
        return attention(call)
    return recorder.attend(call)


def explicit_mask(**kwargs: Any) -> Tensor | None:
    """The mask of a layer, spelled out where it is causal: attention modules of Pegasus-X do not say that they are."""
    mask: Tensor | None = sdpa_mask(**kwargs | {"allow_is_causal_skip": False})
    return mask


AttentionInterface.register(NAME, attention_forward)
AttentionMaskInterface.register(NAME, explicit_mask)


def install_recorder(model: Any, bias: nn.Embedding | None = None) -> CrossAttentionRecorder:
    """Route a model's attention through `attention_forward`. `bias` is added to the cross-attention of every layer.

    A model that does not use the attention interface still reads; its recorder then has a `problem`.
    """
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)  # its warning about models without the interface is what `problem` says
    model.set_attn_implementation(NAME)
    logging.set_verbosity(before)
    calls, linear_calls = _probe(model)
    separate = [call for call in calls if call.key.shape[2] == PROBE_KEYS]
    cross = separate or [call for call in calls if call.key.shape[2] == PROBE_KEYS + 1]
    recorder = CrossAttentionRecorder(
        None if cross else f"{type(model).__name__} does not use the attention interface, so there are no scores",
        bias,
        cross={call.module for call in cross},
        projections=_absorbable(model, cross, linear_calls),
        merged=not separate,
    )
    for call in calls:
        _recorders[call.module] = recorder
    return recorder


def _absorbable(model: Any, cross: list[AttentionCall], linear_calls: LinearCalls) -> dict[nn.Module, Projections]:
    try:
        return {call.module: find_projections(call, linear_calls) for call in cross}
    except ValueError as reason:
        log.debug("%s: decodes with keys and values of all tokens: %s", type(model).__name__, reason)
        return {}


def _input_part(layer: LayerAttention) -> LayerAttention:
    """The attention to the input's tokens, in a pass without a cache that attends to the output's tokens too."""
    outputs, keys = layer.scores.shape[-2:]
    later = torch.ones(outputs, keys, dtype=torch.bool, device=layer.scores.device).triu(1)
    later[:, outputs:] = False
    total = layer.scores.masked_fill(later, -torch.inf).logsumexp(-1)
    return LayerAttention(layer.scores[..., outputs:], cast(Tensor, layer.values)[:, :, outputs:], total)


def _probe(model: Any) -> tuple[list[AttentionCall], LinearCalls]:
    """The attention calls of one decoder step over three input vectors, in order, and the linear layers' calls."""
    global _probed
    encoder, weight = model.get_encoder(), next(model.parameters())
    states = torch.zeros(
        1, PROBE_KEYS, encoder.config.get_text_config().hidden_size, dtype=weight.dtype, device=weight.device
    )
    start = torch.zeros(1, 1, dtype=torch.long, device=weight.device)
    linear_calls: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    hooks = [
        module.register_forward_hook(lambda m, args, output: linear_calls.update({m: (args[0], output)}))
        for module in linear
    ]
    calls: list[AttentionCall] = []
    _probed, training = calls, model.training
    try:
        with torch.inference_mode():
            model.eval()(
                encoder_outputs=BaseModelOutput(last_hidden_state=cast(Any, states)),
                decoder_input_ids=start,
                use_cache=False,
            )
        return calls, linear_calls
    finally:
        _probed = None
        model.train(training)
        for hook in hooks:
            hook.remove()
