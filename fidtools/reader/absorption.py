"""Cross-attention without keys and values: the weights of their projections are absorbed into query and output.

With an encoding x of an input token, q·(W_K x) = (W_Kᵀ q)·x and Σ α (W_V x) = W_V (Σ α x). So a decoder layer can
attend to the encodings themselves, which all layers share. For a query of one token this needs far fewer operations
than making the keys and values of every input token, and 1 / (2 · layers) of the memory.

The library makes keys and values inside its attention modules. While absorption is on, modules that keep the encodings
and return a placeholder stand in for the two projections, and the attention function takes the encodings from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from fidtools.reader.attention import AttentionCall


@dataclass(frozen=True)
class Projections:
    """The linear layers of one cross-attention module that make its keys and values from encodings."""

    key_name: str
    value_name: str
    key: nn.Linear
    value: nn.Linear
    heads: int
    """Of the query; keys and values may have fewer."""
    size: int
    """Of a head."""

    def saves(self, queries: int) -> bool:
        """Whether `queries` output tokens need fewer operations with absorbed weights than with keys and values."""
        width, keys = self.key.in_features, self.key.out_features
        return self.heads * queries * width < width * keys + queries * self.heads * self.size


class StandIn(nn.Module):
    """Stands in for a projection: keeps the encodings, and returns a placeholder of the projection's shape.

    The placeholder takes no memory. It is NaN throughout, so whatever computes with it does not go unnoticed.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.encodings: Tensor | None = None

    def forward(self, encodings: Tensor) -> Tensor:
        """A placeholder (batch, tokens, width) for encodings (batch, tokens, d)."""
        self.encodings = encodings
        return encodings.new_full((1,), torch.nan).expand(*encodings.shape[:-1], self.width)


@contextmanager
def without_projections(layers: Mapping[nn.Module, Projections]) -> Iterator[dict[nn.Module, StandIn]]:
    """Inside the block the attention modules make no keys and values. Yields what keeps each module's encodings."""
    stand_ins = {module: StandIn(found.key.out_features) for module, found in layers.items()}
    try:
        for module, found in layers.items():
            setattr(module, found.key_name, stand_ins[module])
            setattr(module, found.value_name, stand_ins[module])
        yield stand_ins
    finally:
        for module, found in layers.items():
            setattr(module, found.key_name, found.key)
            setattr(module, found.value_name, found.value)


LinearCalls = Mapping[nn.Module, tuple[Tensor, Tensor]]
"""Input and output of each linear layer in one pass."""


def find_projections(call: AttentionCall, linear_calls: LinearCalls) -> Projections:
    """The projections of the attention module that made this call.

    They can be absorbed when keys and values are the outputs of linear layers split into heads, unchanged, and these
    have the same input. Raises ValueError with the reason when they cannot.
    """
    kind = type(call.module).__name__
    key, value = (_name_of_projection(call.module, states, linear_calls) for states in (call.key, call.value))
    if key is None or value is None:
        what = "keys" if key is None else "values"
        raise ValueError(f"the {what} of {kind} are not the output of one linear layer")
    first, second = (cast(nn.Linear, call.module.get_submodule(name)) for name in (key, value))
    if linear_calls[first][0] is not linear_calls[second][0] or first.out_features != second.out_features:
        raise ValueError(f"keys and values of {kind} have different inputs or sizes")
    return Projections(key, value, first, second, heads=call.query.shape[1], size=call.query.shape[-1])


def _name_of_projection(module: nn.Module, states: Tensor, linear_calls: LinearCalls) -> str | None:
    """The child whose output was split into the heads of `states` (batch, heads, tokens, size): both share memory."""
    for name, child in module.named_children():
        if type(child) is nn.Linear and child in linear_calls:
            output = linear_calls[child][1]
            if _same_memory(output, states) and _in_heads(output, states.shape[-1]) == (states.shape, states.stride()):
                return name
    return None


def _in_heads(output: Tensor, size: int) -> tuple[torch.Size, tuple[int, ...]]:
    """Shape and strides of a projection's output (batch, tokens, heads · size) as (batch, heads, tokens, size)."""
    heads = torch.unflatten(output, -1, (-1, size)).transpose(1, 2)
    return heads.shape, heads.stride()


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage() is other.untyped_storage() and one.storage_offset() == other.storage_offset()


@dataclass(frozen=True)
class AbsorbedCall(AttentionCall):
    """A call of the attention function over encodings, whose keys and values are only placeholders.

    The query may have several rows for each row of the encodings: the beams of a question.
    """

    has_keys: ClassVar[bool] = False

    projections: Projections
    encodings: Tensor  # (questions, tokens, d)

    @classmethod
    def of(cls, call: AttentionCall, projections: Projections, encodings: Tensor) -> AbsorbedCall:
        """A call whose keys and values are placeholders, with what they stand for."""
        parts = {field.name: getattr(call, field.name) for field in fields(call)}
        return cls(**parts, projections=projections, encodings=encodings)

    def in_float32(self) -> AbsorbedCall:
        """The same call, its numbers in float32."""
        return replace(self, query=self.query.float(), encodings=self.encodings.float())

    def dot_products(self, query: Tensor) -> Tensor:
        """q·(W_K x + b) as (W_Kᵀ q)·x + q·b: (batch, heads, queries, tokens)."""
        weight, bias = self._per_head(self.projections.key, query)
        grouped = torch.unflatten(query, 1, (len(weight), -1))  # (batch, key heads, groups, queries, size)
        absorbed = torch.einsum("bkgqs,ksd->bkgqd", grouped, weight)
        scores = _products(self._by_question(absorbed), self.encodings).view(*query.shape[:3], -1)
        if bias is not None:
            scores += torch.einsum("bkgqs,ks->bkgq", grouped, bias).flatten(1, 2)[..., None]
        return scores

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Σ α (W_V x + b) as W_V (Σ α x) + b, since the weights add up to 1: (batch, heads, queries, size)."""
        weight, bias = self._per_head(self.projections.value, weights)
        sums = (self._by_question(weights) @ self.encodings).view(*weights.shape[:3], -1)
        output = torch.einsum("bkgqd,ksd->bkgqs", torch.unflatten(sums, 1, (len(weight), -1)), weight)
        return (output if bias is None else output + bias[:, None, None]).flatten(1, 2)

    def _by_question(self, rows: Tensor) -> Tensor:
        """Rows (batch, …, x) as (questions, all beams, heads and queries of each, x)."""
        return rows.reshape(len(self.encodings), -1, rows.shape[-1])

    def _per_head(self, linear: nn.Linear, like: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weight (key heads, size, d) and bias (key heads, size) of a projection."""
        size = (-1, self.projections.size)
        bias = None if linear.bias is None else torch.unflatten(linear.bias.to(like.dtype), 0, size)
        return torch.unflatten(linear.weight.to(like.dtype), 0, size), bias


def _products(rows: Tensor, encodings: Tensor) -> Tensor:
    """Rows (questions, rows, d) times encodings (questions, tokens, d): (questions, rows, tokens).

    For one question as a linear layer, since a batch of one makes a transposed copy of bf16 encodings on a CPU.
    """
    if len(rows) == 1:
        return nn.functional.linear(rows[0], encodings[0])[None]
    return rows @ encodings.transpose(1, 2)


class EncodingsLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer of the cross-attention's cache, which needs no more than placeholders."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Keep them as they are: a copy would take memory."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self.values = key_states, value_states
        return key_states, value_states

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Nothing to do: a beam is replaced by one of the same question, which reads the same encodings."""


class EncodingsCache(Cache):
    """The cross-attention's cache in decoding with absorbed weights."""

    def __init__(self, **_: Any) -> None:
        """T5Gemma makes it anew, with options that say what `DynamicCache` should hold."""
        super().__init__(layer_class_to_replicate=EncodingsLayer)
