"""Batched decoding: continuations of prompts by a causal language model, with a cache of keys and values.

What a prompt is continued with does not depend on the prompts that are decoded beside it, up to rounding: rows are
padded on the left under a mask, and where tokens are drawn, every prompt has a random generator of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from fidtools.compute.batching import budget_batches, equal_tokens
from fidtools.compute.key_value_cache import SUPPORTED, cached_logits
from fidtools.compute.positions import counts_positions
from fidtools.compute.special_tokens import end_tokens
from fidtools.data.hashes import seeded_hash
from fidtools.errors import FidtoolsError
from fidtools.language_models.model import LanguageModel


@dataclass(frozen=True)
class Decoding:
    """How continuations are chosen: greedily with temperature 0, else drawn, by a seed and the prompt's name."""

    max_tokens: int = 80
    temperature: float = 0.0
    seed: int = 0


class Named(NamedTuple):
    """A prompt's token ids, and the name that its random numbers are drawn by."""

    name: str
    ids: list[int]


@torch.inference_mode()
def continuations(
    model: LanguageModel,
    prompts: Sequence[Named],
    decoding: Decoding,
    is_complete: Callable[[str], bool],
    token_budget: int,
) -> list[str]:
    """The text that follows each prompt, up to an end-of-sequence token, `max_tokens`, or until it `is_complete`.

    Prompts of similar length are decoded together, at most `token_budget` tokens with padding and what is generated.
    The tokens that all prompts begin with, such as the examples of a template, are computed once.
    """
    texts = [""] * len(prompts)
    if not prompts:
        return texts
    head = _common_head([prompt.ids for prompt in prompts])
    cache = _encoded(model, head)
    lengths = [len(prompt.ids) + decoding.max_tokens for prompt in prompts]
    for rows in budget_batches(lengths, token_budget):
        batch = _Batch(model, head, cache, [prompts[row] for row in rows], decoding)
        for row, text in zip(rows, batch.run(is_complete), strict=True):
            texts[row] = text
    return texts


def check_continues(network: Any) -> None:
    """Raise FidtoolsError for a network that cannot be continued behind a cache of keys and values.

    That is one that keeps another state, or that would count the padding of a batch as tokens.
    """
    cached_logits(network, [0, 0])
    if counts_positions(network):
        raise FidtoolsError(f"{type(network).__name__}: counts the positions of tokens itself", hint=SUPPORTED)


def _common_head(prompts: Sequence[list[int]]) -> list[int]:
    """The tokens that all prompts begin with; at least the last token of each is left out of it."""
    first, last = min(prompts), max(prompts)  # in the order of their tokens, so what these two share, all share
    return list(first[: min(equal_tokens(first, last), *(len(prompt) - 1 for prompt in prompts))])


def _encoded(model: LanguageModel, head: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """The keys and values of the common head in every layer, (1, heads, tokens, size) each; none without a head."""
    if not head:
        return []
    cache = DynamicCache()
    ids = torch.tensor([head], device=model.network.device)
    model.network.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    return [(cast(Any, layer).keys, cast(Any, layer).values) for layer in cache.layers]


class _Batch:
    """Rows that are decoded together. A row that is complete leaves the batch.

    All padding is in front of a row: between the head and the rest, it would count as tokens in a sliding window.
    """

    def __init__(
        self,
        model: LanguageModel,
        head: Sequence[int],
        states: Sequence[tuple[Tensor, Tensor]],
        prompts: Sequence[Named],
        decoding: Decoding,
    ) -> None:
        self.model, self.decoding = model, decoding
        device = model.network.device
        size, width = len(head), max(len(prompt.ids) for prompt in prompts) - len(head)
        padding = [size + width - len(prompt.ids) for prompt in prompts]
        again = [min(size, begin) for begin in padding]  # tokens of the head that a row computes, instead of padding
        rows = [[0] * (width - len(prompt.ids)) + prompt.ids[-width:] for prompt in prompts]
        self.ids = torch.tensor(rows, device=device)
        place = torch.arange(size + width, device=device)
        self.mask = (place >= torch.tensor(padding, device=device)[:, None]).long()  # (rows, head + width)
        self.cache = DynamicCache()
        for number, pair in enumerate(states):
            keys, values = (torch.cat([_moved(part, by) for by in again]) for part in pair)
            self.cache.update(keys, values, number)
        self.draws = [_random(decoding.seed, prompt.name) for prompt in prompts] if decoding.temperature > 0 else []

    def run(self, is_complete: Callable[[str], bool]) -> list[str]:
        """The text of every row."""
        ends = end_tokens(self.model.tokenizer, self.model.network)
        found: list[list[int]] = [[] for _ in range(len(self.ids))]
        texts = [""] * len(found)
        going = list(range(len(found)))
        for _ in range(self.decoding.max_tokens):
            chosen = self._next_tokens(going)
            keep = []
            for place, (row, token) in enumerate(zip(going, chosen, strict=True)):
                if token in ends:
                    continue
                found[row].append(token)
                texts[row] = self.model.tokenizer.decode(found[row], skip_special_tokens=True)
                if not is_complete(texts[row]):
                    keep.append(place)
            going = [going[place] for place in keep]
            if not going:
                break
            self._keep(keep, [chosen[place] for place in keep])
        return texts

    def _next_tokens(self, going: Sequence[int]) -> list[int]:
        positions = (self.mask.cumsum(1) - 1).clamp(min=0)[:, -self.ids.shape[1] :]
        output = self.model.network(
            input_ids=self.ids,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1].float()  # (rows, vocabulary)
        if self.draws:  # the largest of logits / T with Gumbel noise is a draw from their softmax
            waits = [torch.empty(logits.shape[1]).exponential_(generator=self.draws[row]) for row in going]
            noise = -torch.stack(waits).log()
            logits = logits / self.decoding.temperature + noise.to(logits.device)
        return cast(list[int], logits.argmax(-1).tolist())

    def _keep(self, places: Sequence[int], tokens: Sequence[int]) -> None:
        """Drop the rows that are complete, and let the chosen tokens be the next input of the others."""
        if len(places) < len(self.ids):
            index = torch.tensor(places, device=self.mask.device)
            self.cache.batch_select_indices(index)
            self.mask = self.mask[index]
        self.ids = torch.tensor(tokens, device=self.mask.device)[:, None]
        self.mask = torch.cat([self.mask, torch.ones_like(self.mask[:, :1])], 1)


def _moved(states: Tensor, by: int) -> Tensor:
    """Keys or values (1, heads, tokens, size) moved `by` places to the right; the last ones fall out."""
    return functional.pad(states[:, :, : states.shape[2] - by], (0, 0, by, 0))


def _random(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(seeded_hash(seed, name) >> 1)
