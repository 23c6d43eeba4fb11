"""Fusion-in-Decoder by a causal language model: blocks are read in parallel, and the answer is decoded behind them all.

The encoder's part is played by the model itself, which reads every block alone; a block's encoding is the keys and
values of its tokens in all layers. A tail, the question again, is decoded behind the concatenated keys and values, at
the positions that follow the longest block (Ratner et al., Parallel context windows, section 2), and attends to all of
them. The tokens of a block never see another block, so the cost grows linearly with the number of passages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache, GenerationMixin
from transformers.cache_utils import DynamicLayer

from fidtools.compute.batching import pad_sequences, padded_length
from fidtools.compute.device import Compute
from fidtools.compute.positions import max_positions, positions_of_one_meaning
from fidtools.reader.attention import LayerAttention
from fidtools.reader.block_recorder import BlockRecorder, install_block_recorder
from fidtools.reader.causal_prompt import Blocks, Positions
from fidtools.reader.fusion import PAD_MULTIPLE, passage_batches
from fidtools.reader.network import ReaderNetwork

UNLIMITED = 1 << 30


@dataclass(frozen=True)
class FusedBlocks:
    """A question's encoded blocks, and the tail that is decoded behind them.

    A token's encoding of size d is its keys and values in all layers, one after another.
    """

    leading: Tensor  # (tokens, d): the special tokens at the beginning, once for all blocks
    blocks: list[Tensor]  # (tokens of the block, d) each
    ends: list[int]  # the position behind each block
    tail: list[int]  # token ids

    def __len__(self) -> int:
        return len(self.leading) + sum(len(block) for block in self.blocks)


class Tails(NamedTuple):
    """Tokens to be decoded behind the encodings of several questions, in rows, padded on the left."""

    cache: DynamicCache  # the encodings: (rows, heads, longest, size) in each layer
    ids: Tensor  # (rows, tokens)
    mask: Tensor  # (rows, longest + tokens): False for padding
    positions: Tensor  # (rows, tokens)


class CausalFusion(ReaderNetwork[FusedBlocks]):
    """A causal language model that reads several passages at once.

    `leading` are the special tokens that its inputs begin with: all blocks see them, and they are fused once.
    """

    def __init__(
        self,
        model: Any,
        leading: Sequence[int] = (),
        positions: Positions = "begin",
        *,
        compute: Compute | None = None,
    ) -> None:
        super().__init__(model, compute)
        self.leading, self.positions = list(leading), positions
        self.recorder: BlockRecorder = install_block_recorder(model)
        self.max_input = self.max_output = _most_tokens(model)
        self.layout: list[tuple[int, int, int]] = []
        """For each layer the heads of keys and values, and the sizes of a key and of a value."""

    def _new_recorder(self) -> BlockRecorder:
        return install_block_recorder(self.model)

    def room(self, answer_maxlength: int) -> int | None:
        """The model's positions but those of the leading tokens and of an answer; None where there is no limit."""
        return None if self.max_input is None else self.max_input - len(self.leading) - answer_maxlength

    def fuse(self, passages: Sequence[Sequence[Sequence[int]]]) -> list[FusedBlocks]:
        """Each question's blocks, encoded one by one, with its tail: `passages` are `Blocks`."""
        longest = [max(len(block) for block in question) for question in passages]
        offsets = [
            most - len(block) if self.positions == "end" else 0
            for question, most in zip(passages, longest, strict=True)
            for block in question
        ]
        encoded = iter(self._encode([block for question in passages for block in question], offsets))
        offset = iter(offsets)
        return [self._fused(cast(Blocks, question), encoded, offset) for question in passages]

    def _fused(self, question: Blocks, encoded: Any, offsets: Any) -> FusedBlocks:
        n = len(self.leading)
        states = [next(encoded) for _ in question]
        ends = [n + next(offsets) + len(block) for block in question]
        return FusedBlocks(states[0][:n], [state[n:] for state in states], ends, question.tail)

    def _encode(self, blocks: Sequence[Sequence[int]], offsets: Sequence[int]) -> list[Tensor]:
        """The encoding (leading tokens + tokens of the block, d) of each block.

        Blocks of similar length are encoded together, at most `token_budget` tokens (padding included) at a time.
        """
        inputs = [[*self.leading, *block] for block in blocks]
        encodings: list[Tensor | None] = [None] * len(inputs)
        with self.compute.autocast():
            for rows in passage_batches([len(tokens) for tokens in inputs], self.token_budget):
                states = self._encode_together([inputs[i] for i in rows], [offsets[i] for i in rows])
                for row, state in zip(rows, states, strict=True):
                    encodings[row] = state[: len(inputs[row])]
        return cast(list[Tensor], encodings)

    def _encode_together(self, inputs: Sequence[Sequence[int]], offsets: Sequence[int]) -> Tensor:
        """The encodings (blocks, width, d). Padding is on the right, where a causal model never sees it."""
        width = padded_length(max(len(tokens) for tokens in inputs), PAD_MULTIPLE)
        ids, _ = pad_sequences(inputs, self.pad, width)
        place = torch.arange(width)
        shift = torch.tensor(offsets)[:, None] * (place >= len(self.leading))
        positions = (place + shift).clamp(max=(self.max_input or UNLIMITED) - 1)
        if self.checkpoint_encoder and self.training:
            return cast(
                Tensor, checkpoint(self._states, ids.to(self.device), positions.to(self.device), use_reentrant=False)
            )
        return self._states(ids.to(self.device), positions.to(self.device))

    def _states(self, ids: Tensor, positions: Tensor) -> Tensor:
        """The keys and values of all layers: (blocks, width, d)."""
        cache = DynamicCache()
        self.model.base_model(input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True)
        layers = cast(list[DynamicLayer], cache.layers)
        pairs = [(cast(Tensor, layer.keys), cast(Tensor, layer.values)) for layer in layers]
        self.layout = [(keys.shape[1], keys.shape[3], values.shape[3]) for keys, values in pairs]
        states = torch.cat([part.transpose(1, 2).flatten(2) for pair in pairs for part in pair], -1)
        if torch.is_autocast_enabled(ids.device.type):
            states = states.to(torch.get_autocast_dtype(ids.device.type))  # products take them in this type anyway
        return states

    def select(self, fused: FusedBlocks, lengths: Sequence[int], kept: Sequence[int]) -> FusedBlocks:
        """The encodings of some of a question's passages, with their positions."""
        blocks, ends = [fused.blocks[i] for i in kept], [fused.ends[i] for i in kept]
        return FusedBlocks(fused.leading, blocks, ends, fused.tail)

    def logits(self, fused: Sequence[FusedBlocks], targets: Sequence[Sequence[int]]) -> Tensor:
        """Logits (questions, longest target, vocabulary) of each target's tokens, decoded behind the tail."""
        with self.compute.autocast():
            tails = self._tails(fused)
            longest = max(len(target) for target in targets)
            forced, _ = pad_sequences([target[:-1] for target in targets], self.pad, longest - 1)
            forced = forced.to(self.device)
            steps = torch.arange(1, longest, device=self.device)
            output = self.model(
                input_ids=torch.cat([tails.ids, forced], 1),
                attention_mask=torch.cat([tails.mask, torch.ones_like(forced, dtype=torch.bool)], 1),
                position_ids=torch.cat([tails.positions, tails.positions[:, -1:] + steps], 1),
                past_key_values=tails.cache,
                use_cache=True,
                logits_to_keep=longest,
            )
        return cast(Tensor, output.logits)

    def attention(self, fused: FusedBlocks, output: Sequence[int], *, values: bool = False) -> list[LayerAttention]:
        """The attention to the blocks in every layer, where each token of `output` is predicted; without, the first."""
        blocks = slice(len(fused.leading), len(fused))
        with self.recorder.recording(max(1, len(output)), blocks, values=values) as layers:
            self.logits([fused], [list(output) or [self.pad]])
        return layers

    def generate(self, fused: Sequence[FusedBlocks], **options: Any) -> Any:
        """What `transformers`' generate returns, with `sequences` cut to the last token of the tail and the answer."""
        with self.compute.autocast(), _plain_generation(self.model):
            tails = self._tails(fused)
            if (beams := options.get("num_beams", 1)) > 1:
                tails.cache.batch_repeat_interleave(beams)
            read = tails.ids.new_full((len(fused), tails.mask.shape[1] - tails.ids.shape[1]), self.pad)
            output = self.model.generate(
                input_ids=torch.cat([read, tails.ids], 1),
                attention_mask=tails.mask.long(),
                position_ids=tails.positions,
                past_key_values=tails.cache,
                **{"return_dict_in_generate": True, "pad_token_id": self.pad} | options,
            )
        output.sequences = output.sequences[:, tails.mask.shape[1] - 1 :]
        return output

    def _tails(self, fused: Sequence[FusedBlocks]) -> Tails:
        """The tails of several questions, ready to be decoded behind the encodings."""
        widest, longest = max(len(f) for f in fused), max(len(f.tail) for f in fused)
        states = torch.stack([_padded(f, widest) for f in fused])
        filled = torch.tensor([len(f) for f in fused])[:, None]
        begins = torch.tensor([longest - len(f.tail) for f in fused])[:, None]
        starts = torch.tensor([max(f.ends) for f in fused])[:, None]
        place = torch.arange(longest)
        ids = torch.tensor([[*[self.pad] * (longest - len(f.tail)), *f.tail] for f in fused])
        mask = torch.cat([torch.arange(widest) < filled, place >= begins], 1)
        positions = (starts + place - begins).clamp(min=0)
        device = self.device
        return Tails(self._cache(states), ids.to(device), mask.to(device), positions.to(device))

    def _cache(self, states: Tensor) -> DynamicCache:
        """A cache that holds encodings (questions, tokens, d)."""
        cache = DynamicCache()
        sizes = [heads * size for heads, *both in self.layout for size in both]
        parts = iter(torch.split(states, sizes, -1))
        for number, (heads, *_) in enumerate(self.layout):
            keys, values = (_by_head(next(parts), heads) for _ in range(2))
            cache.update(keys, values, number)
        return cache


@contextmanager
def _plain_generation(model: Any) -> Iterator[None]:
    """Let `generate` prepare its inputs as for most models. Phi's kind discards the cache once its tokens reach a
    number that is about positions; those of several blocks are more than their positions.
    """
    model.prepare_inputs_for_generation = partial(GenerationMixin.prepare_inputs_for_generation, model)
    try:
        yield
    finally:
        del model.prepare_inputs_for_generation


def _padded(fused: FusedBlocks, width: int) -> Tensor:
    """A question's encodings without padding between them: (width, d), padded with zeros at the end."""
    missing = fused.leading.new_zeros(width - len(fused), fused.leading.shape[1])
    return torch.cat([fused.leading, *fused.blocks, missing])


def _by_head(states: Tensor, heads: int) -> Tensor:
    """Keys or values (questions, tokens, heads · size) as attention takes them: (questions, heads, tokens, size)."""
    return states.view(*states.shape[:2], heads, -1).transpose(1, 2)


def _most_tokens(model: Any) -> int | None:
    """The longest input that a model has positions for, and that the window or chunk of all its layers holds.

    Positions must also mean the same in a short block as behind all blocks.
    """
    config = model.config.get_text_config()
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    limits = (max_positions(model, "decoder"), *windows, positions_of_one_meaning(config))
    return min((limit for limit in limits if limit), default=None)
