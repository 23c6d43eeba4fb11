"""What every reader's network does: read a question's passages one by one, and decode over all of them at once.

`Fusion` does it with an encoder–decoder, `CausalFusion` with a causal language model. Training, answering and scoring
know this interface only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence, Sized
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fidtools.compute.device import Compute
from fidtools.reader.attention import LayerAttention
from fidtools.training.lora import add_lora

IGNORE_INDEX = -100
F = TypeVar("F", bound=Sized)
"""The type of one question's fused encodings: its length is its number of tokens, everything else is the network's."""


class Batch:
    """Questions as tokens: `passages[q][p]` are the tokens of passage p of question q, `targets[q]` its answer's."""

    def __init__(self, passages: list[list[list[int]]], targets: list[list[int]]) -> None:
        self.passages, self.targets = passages, targets


class Recorder(Protocol):
    """Records the attention to passages. `problem` is why it cannot."""

    problem: str | None

    def check(self) -> None:
        """Raises FidtoolsError when the model's attention cannot be recorded."""


class ReaderNetwork(nn.Module, ABC, Generic[F]):
    """A model that reads several passages at once, in the precision of `compute` (default: float32).

    `token_budget` is the most tokens, padding included, that are encoded in one call. With `checkpoint_encoder` the
    backward pass encodes again instead of keeping activations. `max_input` and `max_output` are the most tokens of a
    passage and of an answer that the model has positions for; None: no limit.
    """

    recorder: Recorder
    max_input: int | None = None
    max_output: int | None = None

    def __init__(self, model: Any, compute: Compute | None = None) -> None:
        super().__init__()
        self.model = model
        self.compute = compute or Compute.float32()
        self.token_budget = 16384
        self.checkpoint_encoder = False

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    @property
    def start(self) -> int | None:
        """The id of the token that every output starts with; None where an output continues its input."""
        return None

    @property
    def pad(self) -> int:
        """The id of the padding token."""
        return first_token_id(self.model, "pad_token_id") or 0

    @abstractmethod
    def fuse(self, passages: Sequence[Sequence[Sequence[int]]]) -> list[F]:
        """The fused encodings of each question, from the token ids of its passages."""

    @abstractmethod
    def select(self, fused: F, lengths: Sequence[int], kept: Sequence[int]) -> F:
        """The fused encodings of some passages of a question, in their order; nothing is encoded again.

        `lengths` are the tokens of all its passages, `kept` indices of at least one.
        """

    @abstractmethod
    def logits(self, fused: Sequence[F], targets: Sequence[Sequence[int]]) -> Tensor:
        """Logits (questions, longest target, vocabulary) of each target's tokens, over each question's encodings."""

    @abstractmethod
    def generate(self, fused: Sequence[F], **options: Any) -> Any:
        """What `transformers`' generate returns for each question's fused encodings; `options` are its arguments.

        `sequences` are one token followed by the answer's.
        """

    @abstractmethod
    def attention(self, fused: F, output: Sequence[int], *, values: bool = False) -> list[LayerAttention]:
        """The attention to the passages' tokens in every layer, at each token of `output`; without, at the first.

        Only with `values` are the values of all tokens sure to be among it.
        """

    @abstractmethod
    def _new_recorder(self) -> Any:
        """A recorder for the model as it is now."""

    def add_lora(self, rank: int, seed: int = 0, keep: str | None = None) -> None:
        """Train adapters of this rank instead of the model's weights, as `fidtools.training.lora.add_lora` says."""
        add_lora(self.model, rank, seed, keep=keep)
        self.recorder = self._new_recorder()  # the earlier one knows the layers that adapters now wrap

    def room(self, answer_maxlength: int) -> int | None:
        """The positions that the longest passage and the question behind all passages may take together.

        None where no question follows the passages: then each has all positions of the encoder.
        """
        return None

    def forward(self, batch: Batch) -> Tensor:
        """The summed cross-entropy of every target token of a batch, a scalar in float32."""
        logits = self.logits(self.fuse(batch.passages), batch.targets)
        labels = pad_rows(batch.targets, IGNORE_INDEX, self.device)
        return nn.functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE_INDEX, reduction="sum"
        )


def pad_rows(rows: Sequence[Sequence[int]], pad_value: int, device: torch.device) -> Tensor:
    """Rows of unequal length as one tensor (rows, longest)."""
    return pad_sequence(
        [torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True, padding_value=pad_value
    ).to(device)


def first_token_id(model: Any, *names: str) -> int | None:
    """The first of the named token ids in the generation configuration or the configuration of a model."""
    for name in names:
        for source in (model.generation_config, model.config, getattr(model.config, "decoder", None)):
            value = getattr(source, name, None)
            if value is not None:
                return int(value[0] if isinstance(value, list) else value)
    return None
