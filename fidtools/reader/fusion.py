"""Fusion-in-Decoder (paper, section 3.1): passages are encoded independently, and decoded together.

The encodings of a question's passages are concatenated without their padding into one sequence, which the decoder of
any `transformers` encoder–decoder takes as `encoder_outputs`, in training and in `generate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from fidtools.compute.batching import budget_batches, pad_sequences, padded_length
from fidtools.compute.device import Compute
from fidtools.compute.positions import max_positions
from fidtools.reader.absorption import EncodingsCache
from fidtools.reader.attention import LayerAttention
from fidtools.reader.network import ReaderNetwork, first_token_id, pad_rows
from fidtools.reader.recorder import CrossAttentionRecorder, install_recorder

PAD_MULTIPLE = 8
MIN_FILL = 7 / 8
"""Passages are padded to a multiple of eight tokens, and encoded with those of at least 7/8 of their padded length."""


class Fusion(ReaderNetwork[Tensor]):
    """An encoder–decoder that reads several passages at once, in the precision of `compute` (default: float32).

    `bias` is the cross-attention bias of old readers. `encode`, `decode` and `generate` are all that computes.
    """

    def __init__(self, model: Any, bias: nn.Embedding | None = None, *, compute: Compute | None = None) -> None:
        super().__init__(model, compute)
        self.bias = bias
        self.recorder: CrossAttentionRecorder = install_recorder(model, bias)
        self.max_input = max_positions(model.get_encoder())
        self.max_output = max_positions(model.get_decoder(), "decoder")

    def _new_recorder(self) -> CrossAttentionRecorder:
        return install_recorder(self.model, self.bias)

    @property
    def start(self) -> int:
        """The id of the token that every output starts with."""
        return cast(int, first_token_id(self.model, "decoder_start_token_id", "bos_token_id"))

    def encode(self, passages: Sequence[Sequence[int]]) -> list[Tensor]:
        """The encoding (tokens of the passage, d) of each passage, in order.

        Passages of similar length are encoded together, at most `token_budget` tokens (padding included) at a time.
        """
        encodings: list[Tensor | None] = [None] * len(passages)
        with self.compute.autocast():
            for rows in passage_batches([len(p) for p in passages], self.token_budget):
                for row, encoding in zip(rows, self._encode_together([passages[i] for i in rows]), strict=True):
                    encodings[row] = encoding
        return cast(list[Tensor], encodings)

    def _encode_together(self, passages: Sequence[Sequence[int]]) -> list[Tensor]:
        longest = max(len(p) for p in passages)
        width = min(padded_length(longest, PAD_MULTIPLE), self.max_input or 1 << 30)
        ids, mask = (t.to(self.device) for t in pad_sequences(passages, self.pad, width))  # (passages, width) each
        encoder = self.model.get_encoder()
        if self.checkpoint_encoder and self.training:
            states = checkpoint(_states, encoder, ids, mask, use_reentrant=False)
        else:
            states = _states(encoder, ids, mask)
        if torch.is_autocast_enabled(ids.device.type) and not torch.is_grad_enabled():
            states = states.to(torch.get_autocast_dtype(ids.device.type))  # once, instead of in every decoder layer
        return [state[: len(p)] for state, p in zip(states, passages, strict=True)]

    def select(self, fused: Tensor, lengths: Sequence[int], kept: Sequence[int]) -> Tensor:
        """The encodings of some passages of a question: (their tokens, d)."""
        passages = torch.split(fused, list(lengths))
        return torch.cat([passages[i] for i in kept])

    def logits(self, fused: Sequence[Tensor], targets: Sequence[Sequence[int]]) -> Tensor:
        """Logits (questions, longest target, vocabulary) of each target's tokens, over each question's encodings."""
        return self.decode(fused, self.decoder_inputs(targets))

    def attention(self, fused: Tensor, output: Sequence[int], *, values: bool = False) -> list[LayerAttention]:
        """The cross-attention of every layer, at each token of `output`; without, at the first."""
        with self.recorder.recording(values=values) as layers:
            self.decode([fused], torch.tensor([[self.start, *output[:-1]]], device=fused.device))
        return layers

    def decode(self, fused: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """Logits (questions, output tokens, vocabulary) for decoder inputs, over each question's fused encodings."""
        with self.compute.autocast(), self._absorbing(queries=inputs.shape[1]) as absorbed:
            if absorbed and self.recorder.layers is not None:
                fused = [f.float() for f in fused]  # once, instead of in every layer
            return cast(Tensor, self.model(**fused_inputs(fused), decoder_input_ids=inputs, use_cache=False).logits)

    def generate(self, fused: Sequence[Tensor], *, num_beams: int = 1, **options: Any) -> Any:
        """What `transformers`' generate returns for each question's fused encodings; `options` are its arguments."""
        with self.compute.autocast(), self._absorbing(beams=num_beams) as absorbed:
            cache = EncoderDecoderCache(DynamicCache(), EncodingsCache() if absorbed else DynamicCache())
            inputs = fused_inputs(fused) | {"decoder_start_token_id": self.start, "past_key_values": cache}
            return self.model.generate(**inputs, num_beams=num_beams, **options)

    def _absorbing(self, **sizes: int) -> AbstractContextManager[bool]:
        """Absorb the weights of keys and values, except in training, where dropped weights do not add up to 1."""
        if torch.is_grad_enabled() or self.model.training:
            return nullcontext(False)
        return self.recorder.absorbing(**sizes)

    def fuse(self, passages: Sequence[Sequence[Sequence[int]]]) -> list[Tensor]:
        """Each question's encodings, concatenated without padding: (tokens of all its passages, d)."""
        encodings = iter(self.encode([p for question in passages for p in question]))
        return [torch.cat([next(encodings) for _ in question]) for question in passages]

    def decoder_inputs(self, targets: Sequence[Sequence[int]]) -> Tensor:
        """Targets shifted right after the start token: (questions, longest target)."""
        return pad_rows([[self.start, *target[:-1]] for target in targets], self.pad, self.device)


def _states(encoder: Any, ids: Tensor, mask: Tensor) -> Tensor:
    return cast(Tensor, encoder(input_ids=ids, attention_mask=mask).last_hidden_state)


def fused_inputs(fused: Sequence[Tensor]) -> dict[str, Any]:
    """Keyword arguments of a model's forward or generate: encodings (questions, tokens, d) and their mask.

    One question alone has no padding.
    """
    states = _padded(fused)
    lengths = torch.tensor([len(f) for f in fused], device=states.device)
    mask = (torch.arange(states.shape[1], device=states.device) < lengths[:, None]).long()
    return {"encoder_outputs": BaseModelOutput(last_hidden_state=cast(Any, states)), "attention_mask": mask}


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """Rows (length, d) as one tensor (rows, longest, d), padded with zeros.

    By one concatenation: pad_sequence writes in place, so its backward pass copies the whole tensor once per row.
    """
    longest = max(len(row) for row in rows)
    parts = [part for row in rows for part in (row, row.new_zeros(longest - len(row), row.shape[1]))]
    return torch.cat(parts).view(len(rows), longest, -1)


def passage_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """`budget_batches` of passages of such token counts, with the widths at which they are encoded."""
    return budget_batches(lengths, token_budget, multiple=PAD_MULTIPLE, min_fill=MIN_FILL)
