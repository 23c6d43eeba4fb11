"""The retriever that a training run starts from."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fidtools.compute.device import Compute
from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.encoders.vocabulary import StudentSize, new_vocabulary
from fidtools.encoders.word_encoders import Kind, describe_size, new_word_encoder
from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.errors import UsageError
from fidtools.logs import log
from fidtools.retriever.encoding import Retriever, load_trainable
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import Tower


def start_from(
    name: str,
    *,
    compute: Compute,
    dropout: float | None,
    projection: int | None,
    freeze_passages: bool,
    gradient_checkpointing: bool,
    **changes: Any,
) -> Retriever:
    """The retriever to continue from. `projection` adds one where there is none.

    Raises UsageError when it has a projection of another size, or cannot recompute its activations.
    """
    retriever = load_trainable(name, compute=compute, dropout=dropout, **changes)
    encoder = retriever.question_tower.encoder
    if projection is not None:
        if freeze_passages:
            raise UsageError("--freeze-passages keeps the passages' vectors, which a new --projection would change")
        _project(encoder, projection)
    if gradient_checkpointing:
        _recompute(encoder)
    if freeze_passages and retriever.passage_tower is retriever.question_tower:
        own = replace(retriever.question_tower, encoder=copy.deepcopy(encoder))
        retriever = Retriever(own, retriever.passage_tower, compute=compute)
    return retriever


def _project(encoder: nn.Module, dim: int) -> None:
    if not isinstance(encoder, TransformerEncoder):
        raise UsageError("--projection is for transformers; an LSTM or CNN has its size by --hidden")
    if encoder.projection is None:
        encoder.projection = TokenProjection(encoder.dim, dim).to(next(encoder.parameters()).device)
    elif encoder.dim != dim:
        raise UsageError(f"--projection {dim}: the start has one of size {encoder.dim}, which cannot be changed")


def _recompute(encoder: nn.Module) -> None:
    if not isinstance(encoder, TransformerEncoder) or not encoder.model.supports_gradient_checkpointing:
        raise UsageError("--gradient-checkpointing: this model cannot do it; --token-budget bounds memory as well")
    model = encoder.model
    enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)  # its older name
    enable({"use_reentrant": False})


def new_word_student(
    kind: Kind,
    train: str,
    size: StudentSize,
    *,
    compute: Compute,
    dropout: float | None,
    seed: int,
    **changes: Any,
) -> Retriever:
    """An untrained student with the words of `new_vocabulary`. Without prefixes: its words are its own."""
    torch.manual_seed(seed)
    vocabulary, vectors = new_vocabulary(train, size)
    encoder = new_word_encoder(kind, vectors, size.hidden, dropout=dropout or 0.0)
    encoder.words.requires_grad_(not size.freeze_words)
    log.info("%s student: %s", kind, describe_size(encoder))
    plain = {"pooling": "max", "question_format": "{question}", "passage_format": "{title} {text}"}
    tower = Tower(encoder, WordTokenizer(vocabulary), RetrieverSettings(**(plain | changes)))
    encoder.pooling = tower.settings.pooling
    return Retriever(tower, compute=compute)
