"""A loaded retriever: texts in, vectors out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from torch import nn

from fidtools.compute.batching import budget_batches, pad_of, padded
from fidtools.compute.device import Compute
from fidtools.data.records import Passage
from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.retriever.model_folder import Tower, load_tower, save_tower
from fidtools.retriever.settings import RetrieverSettings

Vectors = NDArray[np.float32]
TokenRows = list[list[int]]
TOKEN_BUDGET = 16384
CPU_TOKENS = 4096
"""A CPU's caches hold no more tokens at once: larger batches were measured to be up to 1.5 times slower."""


class Retriever:
    """Two encoders, usually one and the same (section 3.3), with the settings they were trained with."""

    def __init__(self, questions: Tower, passages: Tower | None = None, *, compute: Compute | None = None) -> None:
        self.question_tower, self.passage_tower = questions, passages or questions
        self.settings: RetrieverSettings = questions[2]
        self.compute = compute or Compute.float32()
        for encoder in self._encoders:
            encoder.to(self.compute.device).eval()

    @property
    def _encoders(self) -> list[nn.Module]:
        towers = {id(tower[0]): tower[0] for tower in (self.question_tower, self.passage_tower)}
        return list(towers.values())

    @property
    def dim(self) -> int:
        """The length of the vectors."""
        return int(self.question_tower[0].dim)  # type: ignore[arg-type]

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What decides the passages' vectors: a hash of weights and tokenizer, and the settings for passages."""
        return fingerprint(self.passage_tower, "passages")

    @cached_property
    def question_fingerprint(self) -> dict[str, Any]:
        """What decides the questions' vectors."""
        return fingerprint(self.question_tower, "questions")

    def encode_questions(self, questions: Sequence[str], *, token_budget: int = TOKEN_BUDGET) -> Vectors:
        """One vector per question, (n, d), in order."""
        return self.encode_rows(self.question_rows(questions), self.question_tower[0], token_budget)

    def encode_passages(self, passages: Sequence[Passage], *, token_budget: int = TOKEN_BUDGET) -> Vectors:
        """One vector per passage, (n, d), in order."""
        return self.encode_rows(self.passage_rows(passages), self.passage_tower[0], token_budget)

    def question_rows(self, questions: Iterable[str]) -> TokenRows:
        """The token ids of every question."""
        return question_rows(self.question_tower, questions)

    def passage_rows(self, passages: Iterable[Passage]) -> TokenRows:
        """The token ids of every passage."""
        return passage_rows(self.passage_tower, passages)

    def encode_rows(self, rows: TokenRows, encoder: nn.Module, token_budget: int = TOKEN_BUDGET) -> Vectors:
        """Vectors (n, d) of tokenised texts: in length order inside, in input order outside."""
        out = np.empty((len(rows), self.dim), dtype=np.float32)
        pad_id = pad_of(self.passage_tower[1])
        if self.compute.device.type == "cpu":
            token_budget = min(token_budget, CPU_TOKENS)
        for batch in budget_batches([len(row) for row in rows], token_budget):
            ids, mask = padded([rows[i] for i in batch], pad_id)
            with torch.inference_mode(), self.compute.autocast():
                vectors = encoder(ids.to(self.compute.device), mask.to(self.compute.device))
            out[batch] = finish(vectors, self.settings).cpu().numpy()
        return out

    def cast(self) -> Retriever:
        """For encoding only: keep the weights themselves in the arithmetic's type, which saves casting them each time.

        Fingerprints remain those of the weights as they were.
        """
        if self.compute.dtype is not torch.float32:
            _ = self.fingerprint, self.question_fingerprint  # computed once, here
            for encoder in self._encoders:
                encoder.to(self.compute.dtype)
        return self

    def save(self, folder: Path) -> None:
        """Write the retriever into an existing folder."""
        save_tower(folder, self.question_tower)
        if self.passage_tower is not self.question_tower:
            (folder / "passages").mkdir()
            save_tower(folder / "passages", self.passage_tower)


def load_retriever(
    name: str | Path, *, compute: Compute | None = None, dropout: float | None = None, **changes: Any
) -> Retriever:
    """A retriever from its folder, or any model that AutoModel loads as an untouched start, ready to encode.

    `changes` are RetrieverSettings fields that replace the folder's. Raises FidtoolsError when it cannot be loaded.
    """
    return load_trainable(name, compute=compute, dropout=dropout, **changes).cast()


def load_trainable(
    name: str | Path, *, compute: Compute | None = None, dropout: float | None = None, **changes: Any
) -> Retriever:
    """The same with its weights in float32 whatever the precision of `compute`, to be trained on."""
    questions = load_tower(name, dropout=dropout, **changes)
    apart = Path(name) / "passages"
    passages = load_tower(apart, dropout=dropout, **changes) if apart.is_dir() else None
    return Retriever(questions, passages, compute=compute)


def finish(vectors: torch.Tensor, settings: RetrieverSettings) -> torch.Tensor:
    """Vectors as they are compared: of length one where the settings say so."""
    return nn.functional.normalize(vectors, dim=-1) if settings.normalize else vectors


def question_rows(tower: Tower, questions: Iterable[str]) -> TokenRows:
    """The token ids of every question, prefix included, cut at the settings' length."""
    _, tokenizer, settings = tower
    texts = [settings.question_text(question) for question in questions]
    return _rows(tokenizer, texts, settings.question_maxlength, settings.pad_questions)


def passage_rows(tower: Tower, passages: Iterable[Passage]) -> TokenRows:
    """The token ids of every passage, title and prefixes included, cut at the settings' length."""
    _, tokenizer, settings = tower
    texts = [settings.passage_text(passage) for passage in passages]
    return _rows(tokenizer, texts, settings.passage_maxlength, settings.pad_passages)


def _rows(tokenizer: Any, texts: list[str], maxlength: int, pad: bool) -> TokenRows:
    if not texts:
        return []
    if isinstance(tokenizer, WordTokenizer):
        rows = [tokenizer.tokenize(text, maxlength) for text in texts]
    else:
        options = {"truncation": True, "max_length": maxlength, "padding": False}
        rows = tokenizer(texts, **options, return_attention_mask=False, return_token_type_ids=False)["input_ids"]
    return [row + [pad_of(tokenizer)] * (maxlength - len(row)) for row in rows] if pad else rows


def fingerprint(tower: Tower, side: str) -> dict[str, Any]:
    """A short, comparable description of an encoder as it treats `side` ("passages" or "questions")."""
    encoder, tokenizer, settings = tower
    chosen = {"passages": ("passage_format", "passage_maxlength", "pad_passages")}
    names = chosen.get(side, ("question_format", "question_maxlength", "pad_questions"))
    return {
        "weights": _hash_weights(encoder),
        "tokenizer": _hash_tokenizer(tokenizer),
        "pooling": settings.pooling,
        "normalize": settings.normalize,
        **{name: getattr(settings, name) for name in names},
    }


def _hash_weights(encoder: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(encoder.state_dict().items()):
        if ".pooler." not in name:
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _hash_tokenizer(tokenizer: Any) -> str:
    if isinstance(tokenizer, WordTokenizer):
        about: Any = tokenizer.vocabulary
    elif hasattr(tokenizer, "backend_tokenizer"):
        about = orjson.loads(tokenizer.backend_tokenizer.to_str())
        about |= {"truncation": None, "padding": None}  # set by the last call, not a property of the tokenizer
    else:
        about = sorted(tokenizer.get_vocab().items())
    return hashlib.sha256(orjson.dumps(about, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
