"""Prompts that begin alike, as those of several questions about one passage do: what they share is computed once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import DynamicCache

from fidtools.compute.batching import budget_batches, equal_tokens, pad_sequences
from fidtools.compute.positions import counts_positions, varies_with_length
from fidtools.language_models.prompts import Encoded

LEAST_SHARE = 0.5
"""The least part of a prompt that its head must be. Below, two calls cost more than they save."""
ATTENTION = {"full_attention", "sliding_attention"}
MASKED_OTHERWISE = {"git"}
"""Models whose mask is another one behind a cache."""


@dataclass(frozen=True)
class Shared:
    """Prompts (`rows`, their numbers) that begin with the same tokens, the `head`; two or more."""

    head: list[int]
    rows: list[int]


@dataclass(frozen=True)
class Tails:
    """The rest of some prompts behind their heads, right-padded, ready for the model.

    `ids` is (rows, tokens), `mask` (rows, head's tokens + tokens), and `cache` has the keys and values of the heads.
    """

    rows: list[int]
    head_lengths: list[int]
    ids: Tensor
    mask: Tensor
    positions: Tensor
    cache: DynamicCache

    @property
    def inputs(self) -> dict[str, Any]:
        """The arguments of the model's forward call."""
        whole = {"input_ids": self.ids, "attention_mask": self.mask, "position_ids": self.positions}
        return whole | {"past_key_values": self.cache, "use_cache": True}


def can_share(model: Any) -> bool:
    """Whether a prompt's tokens see the same behind a cache: the keys and values in front of them, by given positions.

    Not so with a recurrent state, attention in chunks, positions that the model counts itself (behind the cache, or
    from a padding id as RoBERTa does) and rotary positions that depend on the length.
    """
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or ())
    takes = inspect.signature(model.forward).parameters
    if getattr(model, "_is_stateful", False) or not layers <= ATTENTION or config.model_type in MASKED_OTHERWISE:
        return False
    takes_both = {"past_key_values", "position_ids"} <= takes.keys()
    return takes_both and not counts_positions(model) and not varies_with_length(config)


def share_heads(prompts: Sequence[Encoded]) -> tuple[list[Shared], list[int]]:
    """The prompts that share a head, and the numbers of those that share none. A target is never part of a head."""
    order = sorted(range(len(prompts)), key=lambda row: prompts[row].ids)  # equal beginnings lie side by side
    groups: list[Shared] = []
    for row in order:
        ids, most = prompts[row].ids, prompts[row].start - 1  # the last token in front of a target predicts it
        length = min(most, equal_tokens(groups[-1].head, ids)) if groups else 0
        if groups and _gains(groups[-1], length, prompts, row):
            groups[-1] = Shared(groups[-1].head[:length], [*groups[-1].rows, row])
        else:
            groups.append(Shared(ids[: max(0, most)], [row]))
    alone = sorted(group.rows[0] for group in groups if len(group.rows) == 1)
    return [group for group in groups if len(group.rows) > 1], alone


def _gains(group: Shared, length: int, prompts: Sequence[Encoded], row: int) -> bool:
    """Whether one more prompt, and a head that is then `length` tokens long, leave fewer tokens to compute."""
    members = len(group.rows)
    longest = max(len(prompts[row]), *(len(prompts[other]) for other in group.rows))
    return length > 0 and length >= LEAST_SHARE * longest and members * length > (members - 1) * len(group.head)


def tails(model: Any, prompts: Sequence[Encoded], groups: Sequence[Shared], token_budget: int) -> Iterator[Tails]:
    """What is left of every group's prompts, in batches of at most `token_budget` tokens with their heads."""
    for numbers in budget_batches([len(group.head) for group in groups], token_budget, min_fill=0.5):
        batch = [groups[number] for number in numbers]
        states, mask = _states(model, [group.head for group in batch])
        of_row = {row: place for place, group in enumerate(batch) for row in group.rows}
        rows = list(of_row)
        rests = {row: prompts[row].ids[len(batch[of_row[row]].head) :] for row in rows}
        for chosen in budget_batches([mask.shape[1] + len(rests[row]) for row in rows], token_budget):
            picked = [rows[number] for number in chosen]
            yield _behind(states, mask, [of_row[row] for row in picked], picked, [rests[row] for row in picked])


def _states(model: Any, heads: Sequence[list[int]]) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Keys and values of every layer, (heads, key heads, tokens, size) each, and the heads' mask (heads, tokens).

    The heads are padded on the left, so that a prompt's next token follows its head without a gap.
    """
    width = max(map(len, heads))
    ids = torch.tensor([[0] * (width - len(head)) + head for head in heads], device=model.device)
    begins = torch.tensor([width - len(head) for head in heads], device=model.device)[:, None]
    mask = (torch.arange(width, device=model.device) >= begins).long()
    cache = DynamicCache()
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    model.base_model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True)
    return [(cast(Any, layer).keys, cast(Any, layer).values) for layer in cache.layers], mask


def _behind(
    states: Sequence[tuple[Tensor, Tensor]], mask: Tensor, heads: list[int], rows: list[int], rests: list[list[int]]
) -> Tails:
    ids, real = (part.to(mask.device) for part in pad_sequences(rests, 0))
    index = torch.tensor(heads, device=mask.device)
    cache = DynamicCache()
    for number, (keys, values) in enumerate(states):
        cache.update(keys[index], values[index], number)
    lengths = mask[index].sum(1)
    positions = lengths[:, None] + torch.arange(ids.shape[1], device=mask.device)
    return Tails(rows, cast(list[int], lengths.tolist()), ids, torch.cat([mask[index], real], 1), positions, cache)
