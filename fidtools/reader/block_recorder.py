"""Recording a causal language model's attention to the blocks in front of the answer.

A model whose attention implementation is named `fidtools-blocks` calls `attention_forward` for every attention layer.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from logging import ERROR
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import causal_mask_function, sdpa_mask
from transformers.utils import logging

from fidtools.compute.key_value_cache import SUPPORTED, cached_logits
from fidtools.compute.positions import counts_positions
from fidtools.errors import FidtoolsError
from fidtools.reader.attention import AttentionCall, LayerAttention, attention, exact_scores

NAME = "fidtools-blocks"


@dataclass(eq=False)
class BlockRecorder:
    """Records one model's attention from the last `outputs` tokens of an input to the keys in `blocks`.

    `problem` is why it cannot record. With `needs_values` the values of the blocks are kept beside the scores.
    """

    problem: str | None = None
    layers: list[LayerAttention] | None = None
    outputs: int = 1
    blocks: slice = field(default_factory=lambda: slice(0))
    needs_values: bool = False

    def check(self) -> None:
        """Raises FidtoolsError when the model's attention cannot be recorded."""
        if self.problem is not None:
            raise FidtoolsError(self.problem, hint=SUPPORTED)

    @contextmanager
    def recording(self, outputs: int, blocks: slice, *, values: bool) -> Iterator[list[LayerAttention]]:
        """Inside the block one question's attention is recorded: one entry for each layer, in order.

        Raises FidtoolsError when the model's attention cannot be recorded.
        """
        self.check()
        self.layers, self.outputs, self.blocks, self.needs_values = [], outputs, blocks, values
        try:
            yield self.layers
        finally:
            self.layers = None

    def record(self, call: AttentionCall) -> None:
        """Keep the scores of the last `outputs` queries, and the sum that their softmax divides by."""
        assert self.layers is not None
        scores = exact_scores(replace(call, query=call.query[:, :, -self.outputs :]))
        outputs, keys = scores.shape[-2:]
        later = torch.ones(outputs, keys, dtype=torch.bool, device=scores.device).triu(keys - outputs + 1)
        total = scores.masked_fill(later, -torch.inf).logsumexp(-1)
        values = call.all_heads(call.value[:, :, self.blocks]) if self.needs_values else None
        self.layers.append(LayerAttention(scores[..., self.blocks], values, total))


_recorders: WeakKeyDictionary[nn.Module, BlockRecorder] = WeakKeyDictionary()
_probed: list[nn.Module] | None = None


def attention_forward(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, Tensor | None]:
    """One attention layer, as `transformers` calls it; recorded inside `BlockRecorder.recording`."""
    if kwargs.get("s_aux") is not None:
        raise FidtoolsError(f"{type(module).__name__}: attention with sinks of its own is not supported")
    if _probed is not None:
        _probed.append(module)
    call = AttentionCall(module, query, key, value, attention_mask, kwargs.pop("position_bias", None), kwargs)
    recorder = _recorders.get(module)
    if recorder is not None and recorder.layers is not None:
        recorder.record(call)
    return attention(call)


def block_mask(*, mask_function: Any = None, local_size: int | None = None, **kwargs: Any) -> Tensor | None:
    """The mask of every layer: a token sees all blocks, and what stands in front of it in its own.

    A sliding window counts keys in the order of the cache, in which the blocks stand one behind another, although they
    share their positions. So windows are not applied: blocks and tails are shorter than them.
    """
    mask: Tensor | None = sdpa_mask(mask_function=causal_mask_function, **kwargs)
    return mask


AttentionInterface.register(NAME, attention_forward)
AttentionMaskInterface.register(NAME, block_mask)


def install_block_recorder(model: Any) -> BlockRecorder:
    """Route a causal language model's attention through `attention_forward`.

    A model that does not use the attention interface still reads; its recorder then has a `problem`. Raises
    FidtoolsError for a model that is not causal, keeps another state than keys and values, or counts positions itself.
    """
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)  # its warning about models without the interface is what `problem` says
    model.set_attn_implementation(NAME)
    logging.set_verbosity(before)
    recorder = BlockRecorder()
    modules = _probe(model)
    _check_positions(model)
    if not modules:
        recorder.problem = f"{type(model).__name__} does not use the attention interface, so there are no scores"
    for module in modules:
        _recorders[module] = recorder
    return recorder


def _check_positions(model: Any) -> None:
    """Raise FidtoolsError for a model in which all blocks cannot stand at the same positions (BLOOM, MPT, decoders of
    BART's kind): it counts the tokens in front of one, so that the order of the passages would matter. RoBERTa's kind
    counts from its padding token's id, and GPT-Neo's local attention counts the tokens of its window.
    """
    takes, config = inspect.signature(model.forward).parameters, model.config.get_text_config()
    counts = getattr(config, "alibi", False) or "local" in getattr(config, "attention_layers", ())
    if "position_ids" not in takes or counts or counts_positions(model):
        problem = f"{type(model).__name__}: counts positions itself, so passages cannot be read side by side"
        raise FidtoolsError(problem, hint=SUPPORTED)


def _probe(model: Any) -> list[nn.Module]:
    """The attention modules of one forward pass, in order."""
    global _probed
    _probed, training = [], model.training
    try:
        short, long = (cached_logits(model.eval(), ids) for ids in ([0], [0, 1]))
        if not torch.allclose(short[:, 0], long[:, 0], rtol=1e-2, atol=1e-3 * float(short.abs().max())):
            raise FidtoolsError(f"{type(model).__name__}: its tokens see later ones: not a causal language model")
        return list(dict.fromkeys(_probed))
    finally:
        _probed = None
        model.train(training)
