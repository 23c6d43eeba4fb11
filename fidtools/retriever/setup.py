"""Putting a training run together: the start, the student, the examples."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fidtools.devices import Precision
from fidtools.errors import UsageError
from fidtools.reading import read_questions
from fidtools.retriever.encoders import TokenProjection, TransformerEncoder
from fidtools.retriever.encoding import Retriever, load_trainable
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.students import Kind, WordEncoder, new_student
from fidtools.retriever.words import WordTokenizer, build_vocabulary, read_word_vectors
from fidtools.talk import log


def start_from(
    name: str,
    *,
    precision: Precision,
    dropout: float | None,
    projection: int | None,
    freeze_passages: bool,
    gradient_checkpointing: bool,
    **changes: Any,
) -> Retriever:
    """The retriever to continue from. `projection` adds one where there is none.

    Raises UsageError when it has a projection of another size, or cannot recompute its activations.
    """
    retriever = load_trainable(name, precision=precision, dropout=dropout, **changes)
    encoder = retriever.question_tower[0]
    if projection is not None:
        if freeze_passages:
            raise UsageError("--freeze-passages keeps the passages' vectors, which a new --projection would change")
        _project(encoder, projection)
    if gradient_checkpointing:
        _recompute(encoder)
    if freeze_passages and retriever.passage_tower is retriever.question_tower:
        own = (copy.deepcopy(encoder), *retriever.question_tower[1:])
        retriever = Retriever(own, retriever.passage_tower, precision=precision)
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


SPREAD = 0.1
"""Standard deviation of new word vectors."""


@dataclass(frozen=True)
class StudentSize:
    """How large a new LSTM or CNN student is."""

    words: int = 50_000
    word_dim: int = 100
    hidden: int = 128
    word_vectors: str | None = None
    freeze_words: bool = False


def new_word_student(
    kind: Kind,
    train: str,
    size: StudentSize,
    *,
    precision: Precision,
    dropout: float | None,
    seed: int,
    **changes: Any,
) -> Retriever:
    """An untrained student with the words of `start_vectors`. Without prefixes: its words are its own."""
    torch.manual_seed(seed)
    vocabulary, vectors = start_vectors(train, size)
    encoder = new_student(kind, vectors, size.hidden, dropout=dropout or 0.0)
    encoder.words.requires_grad_(not size.freeze_words)
    log.info("%s student: %s", kind, describe_size(encoder))
    plain = {"pooling": "max", "question_format": "{question}", "passage_format": "{title} {text}"}
    tower = (encoder, WordTokenizer(vocabulary), RetrieverSettings(**(plain | changes)))
    encoder.pooling = tower[2].pooling
    return Retriever(tower, precision=precision)


def refuse_words(options: Mapping[str, Any], new: str) -> None:
    """Raise UsageError when word vectors are given to a model that brings its own words; `new` begins one."""
    if options["word_vectors"]:
        raise UsageError(f"--word-vectors is where a new {new} starts; what is trained on brings its own")
    if options["freeze_words"]:
        raise UsageError(f"--freeze-words keeps the word vectors that a new {new} is given")


def start_vectors(train: str, size: StudentSize) -> tuple[list[str], torch.Tensor]:
    """A vocabulary and a vector for each word: small random ones, or a file's.

    The words are those of the training file, and where there are vectors also those that only texts to come may have.
    Raises UsageError when vectors are to be kept but none are given.
    """
    if size.freeze_words and size.word_vectors is None:
        raise UsageError("--freeze-words keeps given word vectors as they are", hint="--word-vectors FILE")
    vocabulary = build_vocabulary(_texts(train), size.words)
    if size.word_vectors is None:
        vectors = torch.randn(len(vocabulary), size.word_dim) * SPREAD
    else:
        found, given = read_word_vectors(size.word_vectors, vocabulary[1:], size.words)
        vocabulary = [vocabulary[0], *found]
        vectors = torch.cat([torch.zeros(1, given.shape[1]), torch.from_numpy(given)])
    vectors[0] = 0.0
    return vocabulary, vectors


def describe_size(encoder: WordEncoder) -> str:
    """Parameters with and without the word vectors."""
    total = sum(parameter.numel() for parameter in encoder.parameters())
    return f"{total:,} parameters, {total - encoder.words.weight.numel():,} without the word vectors"


def _texts(path: str) -> Iterator[str]:
    for question in read_questions(path):
        yield question.question
        for passage in question.ctxs or []:
            yield f"{passage.title} {passage.text}"
