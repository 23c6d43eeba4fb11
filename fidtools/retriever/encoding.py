"""A loaded retriever: texts in, vectors out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fidtools.compute.batching import budget_batches, pad_sequences, padding_id
from fidtools.compute.device import Compute
from fidtools.compute.hub import resolve_model
from fidtools.data.records import Passage
from fidtools.encoders.static_encoder import StaticEncoder
from fidtools.retriever.fingerprint import passage_fingerprint, question_fingerprint
from fidtools.retriever.model_folder import load_tower, save_tower
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import TokenIds, Tower, tokenize_passages, tokenize_questions

Vectors = NDArray[np.float32]
TOKEN_BUDGET = 16384
CPU_TOKENS = 4096
"""The most tokens per batch on a CPU. Larger batches exceed its caches and were up to 1.5 times slower."""


class Retriever:
    """An encoder of questions and one of passages, usually the same one (Izacard & Grave, section 3.3)."""

    def __init__(self, questions: Tower, passages: Tower | None = None, *, compute: Compute | None = None) -> None:
        self.question_tower, self.passage_tower = questions, passages or questions
        self.settings: RetrieverSettings = questions.settings
        self.compute = compute or Compute.float32()
        for encoder in self._encoders:
            encoder.to(self.compute.device).eval()

    @property
    def _encoders(self) -> list[nn.Module]:
        towers = {id(tower.encoder): tower.encoder for tower in (self.question_tower, self.passage_tower)}
        return list(towers.values())

    @property
    def dim(self) -> int:
        """The dimension of the vectors."""
        return int(self.question_tower.encoder.dim)  # type: ignore[arg-type]

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that determines a passage's vector."""
        return passage_fingerprint(self.passage_tower)

    @cached_property
    def question_fingerprint(self) -> dict[str, Any]:
        """Everything that determines a question's vector."""
        return question_fingerprint(self.question_tower)

    def encode_questions(self, questions: Sequence[str], *, token_budget: int = TOKEN_BUDGET) -> Vectors:
        """One vector per question, (n, d), in order."""
        return self.encode_token_ids(self.tokenize_questions(questions), self.question_tower.encoder, token_budget)

    def encode_passages(self, passages: Sequence[Passage], *, token_budget: int = TOKEN_BUDGET) -> Vectors:
        """One vector per passage, (n, d), in order."""
        return self.encode_token_ids(self.tokenize_passages(passages), self.passage_tower.encoder, token_budget)

    def tokenize_questions(self, questions: Iterable[str]) -> TokenIds:
        """The token ids of every question."""
        return tokenize_questions(self.question_tower, questions)

    def tokenize_passages(self, passages: Iterable[Passage]) -> TokenIds:
        """The token ids of every passage."""
        return tokenize_passages(self.passage_tower, passages)

    def encode_token_ids(self, token_ids: TokenIds, encoder: nn.Module, token_budget: int = TOKEN_BUDGET) -> Vectors:
        """Vectors (n, d) of tokenized texts, in order. Texts of similar length are encoded together."""
        out = np.empty((len(token_ids), self.dim), dtype=np.float32)
        pad_id = padding_id(self.passage_tower.tokenizer)
        if self.compute.device.type == "cpu":
            token_budget = min(token_budget, CPU_TOKENS)
        for batch in budget_batches([len(ids) for ids in token_ids], token_budget):
            ids, mask = pad_sequences([token_ids[i] for i in batch], pad_id)
            with torch.inference_mode(), self.compute.autocast():
                vectors = encoder(ids.to(self.compute.device), mask.to(self.compute.device))
            out[batch] = normalized(vectors, self.settings).cpu().numpy()
        return out

    def cast(self) -> Retriever:
        """Cast the weights to the compute precision, for inference only: autocast then has nothing to cast per batch.

        The fingerprints remain those of the float32 weights.
        """
        if self.compute.dtype is not torch.float32:
            _ = self.fingerprint, self.question_fingerprint  # computed before the weights are rounded
            for encoder in self._encoders:
                if not isinstance(encoder, StaticEncoder):  # which has nothing to multiply
                    encoder.to(self.compute.dtype)
        return self

    def report_cuts(self, *, shared: bool = False) -> None:
        """Warn once of the texts that were cut. With `shared` every rank has encoded texts of its own."""
        hint = "--question-maxlength, --passage-maxlength; or --tokens of chunk"
        for tower in {id(tower): tower for tower in (self.question_tower, self.passage_tower)}.values():
            tower.cuts.report("retriever", hint, shared=shared)

    def save(self, folder: Path) -> None:
        """Write the retriever into an existing folder."""
        is_two = self.passage_tower is not self.question_tower
        save_tower(folder, self.question_tower, passages=is_two)
        if is_two:
            (folder / "passages").mkdir()
            save_tower(folder / "passages", self.passage_tower)


def load_retriever(
    name: str | Path, *, compute: Compute | None = None, dropout: float | None = None, **changes: Any
) -> Retriever:
    """A retriever for inference, from its folder or from any encoder that AutoModel loads (folder or hub name).

    `changes` are RetrieverSettings fields that replace the folder's. Raises FidtoolsError when it cannot be loaded,
    UsageError when a requested length exceeds what the model can read.
    """
    return load_trainable(name, compute=compute, dropout=dropout, **changes).cast()


def load_trainable(
    name: str | Path, *, compute: Compute | None = None, dropout: float | None = None, **changes: Any
) -> Retriever:
    """A retriever for training: like `load_retriever`, but its weights stay in float32 at any precision."""
    return Retriever(*load_towers(name, dropout=dropout, **changes), compute=compute)


def load_towers(name: str | Path, **options: Any) -> tuple[Tower, Tower | None]:
    """The question tower, and the passage tower where it is another one; `options` are those of `load_tower`."""
    folder = resolve_model(name) / "passages"
    return load_tower(name, **options), load_tower(folder, **options) if folder.is_dir() else None


def normalized(vectors: torch.Tensor, settings: RetrieverSettings) -> torch.Tensor:
    """Vectors (n, d) with L2 norm 1 if the settings normalize, else as they are."""
    return nn.functional.normalize(vectors, dim=-1) if settings.normalize else vectors
