"""The initial retriever of a training run: a trained one, or a new LSTM, CNN or static encoder."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fidtools.compute.device import Compute
from fidtools.encoders.static_encoder import new_static_encoder
from fidtools.encoders.student_size import StudentKind, StudentSize
from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.encoders.vocabulary import new_vocabulary
from fidtools.encoders.word_encoders import describe_size, new_word_encoder
from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.errors import UsageError
from fidtools.logs import log
from fidtools.retriever.encoding import Retriever, load_trainable
from fidtools.retriever.foreign_folder import UNLIMITED
from fidtools.retriever.model_folder import check_static
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import Tower
from fidtools.training.lora import add_lora

PLAIN: dict[str, Any] = {"question_format": "{question}", "passage_format": "{title} {text}"}


def load_start(
    name: str,
    *,
    compute: Compute,
    dropout: float | None,
    projection: int | None,
    freeze_passages: bool,
    gradient_checkpointing: bool,
    **changes: Any,
) -> Retriever:
    """The retriever to train from its initial weights. `projection` adds a token projection where there is none.

    Raises UsageError when it has a projection of another size, or does not support gradient checkpointing.
    """
    retriever = load_trainable(name, compute=compute, dropout=dropout, **changes)
    encoder = retriever.question_tower.encoder
    if projection is not None:
        if freeze_passages:
            raise UsageError("`freeze_passages` keeps the passage vectors, which a new `projection` would change")
        _add_projection(encoder, projection)
    if gradient_checkpointing:
        _enable_checkpointing(encoder)
    if freeze_passages and retriever.passage_tower is retriever.question_tower:
        own = replace(retriever.question_tower, encoder=copy.deepcopy(encoder))
        retriever = Retriever(own, retriever.passage_tower, compute=compute)
    return retriever


def add_adapters(retriever: Retriever, rank: int, seed: int, *, freeze_passages: bool, keep: str | None) -> None:
    """Train adapters of this rank beside the transformers that are trained, instead of their weights.

    A projection and layers after pooling are trained as they are. `keep` is the start's name, for adapters that are
    kept alone. Raises UsageError for other encoders.
    """
    towers = [retriever.question_tower] if freeze_passages else [retriever.question_tower, retriever.passage_tower]
    for encoder in dict.fromkeys(tower.encoder for tower in towers):
        if not isinstance(encoder, TransformerEncoder):
            raise UsageError("`lora` only applies to transformers")
        add_lora(encoder.model, rank, seed, keep=keep)


def _add_projection(encoder: nn.Module, dim: int) -> None:
    if not isinstance(encoder, TransformerEncoder):
        raise UsageError("`projection` only applies to transformers; the size of an LSTM or CNN is `hidden`")
    if len(encoder.head):
        raise UsageError("`projection` does not apply: the initial model has layers after pooling")
    if encoder.projection is None:
        encoder.projection = TokenProjection(encoder.token_dim, dim).to(next(encoder.parameters()).device)
    elif encoder.dim != dim:
        raise UsageError(f"`projection` {dim}: the initial model already has one of size {encoder.dim}")


def _enable_checkpointing(encoder: nn.Module) -> None:
    if not isinstance(encoder, TransformerEncoder) or not encoder.model.supports_gradient_checkpointing:
        hint = "leave it out; `token_budget` bounds the memory of any model"
        raise UsageError("`gradient_checkpointing` is not supported by this model", hint=hint)
    model = encoder.model
    enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)  # its older name
    enable({"use_reentrant": False})


def new_word_student(
    kind: StudentKind,
    train: str,
    size: StudentSize,
    *,
    compute: Compute,
    dropout: float | None,
    seed: int,
    **changes: Any,
) -> Retriever:
    """An untrained encoder with the words of `new_vocabulary`, which reads texts without prefixes.

    Raises UsageError for settings that a static encoder does not have.
    """
    torch.manual_seed(seed)
    if kind == "static":
        return Retriever(_new_static_tower(train, size, dropout, changes), compute=compute)
    vocabulary, vectors = new_vocabulary(train, size)
    encoder = new_word_encoder(kind, vectors, size.hidden, dropout=dropout or 0.0)
    encoder.words.requires_grad_(not size.freeze_words)
    log.info("%s student: %s", kind, describe_size(encoder, encoder.words))
    tower = Tower(encoder, WordTokenizer(vocabulary), RetrieverSettings(**({"pooling": "max"} | PLAIN | changes)))
    encoder.pooling = tower.settings.pooling
    return Retriever(tower, compute=compute)


def _new_static_tower(train: str, size: StudentSize, dropout: float | None, changes: dict[str, Any]) -> Tower:
    """The token vectors are those of words; texts are not cut unless asked to."""
    if size.freeze_words:
        raise UsageError("`freeze_words` leaves nothing to train in a static `student`")
    check_static(dropout, changes)
    vocabulary, vectors = new_vocabulary(train, size)
    encoder, tokenizer = new_static_encoder(vocabulary[1:], vectors)
    log.info("static student: %s", describe_size(encoder, encoder.tokens))
    whole: dict[str, Any] = {"pooling": "mean", "question_maxlength": UNLIMITED, "passage_maxlength": UNLIMITED}
    return Tower(encoder, tokenizer, RetrieverSettings(**(whole | PLAIN | changes)))
