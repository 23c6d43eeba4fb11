"""The vocabulary of a new word encoder and its initial word vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from fidtools.data.read import read_questions
from fidtools.encoders.word_tokenizer import build_vocabulary
from fidtools.encoders.word_vectors import read_word_vectors
from fidtools.errors import UsageError

INIT_STD = 0.1
"""Standard deviation of word vectors that are learned from scratch."""


@dataclass(frozen=True)
class StudentSize:
    """How large a new LSTM or CNN student is."""

    words: int = 50_000
    word_dim: int = 100
    hidden: int = 128
    word_vectors: str | None = None
    freeze_words: bool = False


def refuse_words(options: Mapping[str, Any], new: str) -> None:
    """Raise UsageError when word vectors are given to a model that brings its own words; `new` begins one."""
    if options["word_vectors"]:
        raise UsageError(f"--word-vectors is where a new {new} starts; what is trained on brings its own")
    if options["freeze_words"]:
        raise UsageError(f"--freeze-words keeps the word vectors that a new {new} is given")


def new_vocabulary(train: str, size: StudentSize) -> tuple[list[str], torch.Tensor]:
    """The words of a training file with padding as word 0, and their initial vectors (words, dim).

    The vectors are random, or those of the file `size.word_vectors`; that file's other words are then added up to
    `size.words`, so that texts outside the training file are covered. Raises UsageError when vectors are to be frozen
    but none are given.
    """
    if size.freeze_words and size.word_vectors is None:
        raise UsageError("--freeze-words keeps given word vectors as they are", hint="--word-vectors FILE")
    vocabulary = build_vocabulary(_texts(train), size.words)
    if size.word_vectors is None:
        vectors = torch.randn(len(vocabulary), size.word_dim) * INIT_STD
    else:
        found, given = read_word_vectors(size.word_vectors, vocabulary[1:], size.words)
        vocabulary = [vocabulary[0], *found]
        vectors = torch.cat([torch.zeros(1, given.shape[1]), torch.from_numpy(given)])
    vectors[0] = 0.0
    return vocabulary, vectors


def _texts(path: str) -> Iterator[str]:
    for question in read_questions(path):
        yield question.question
        for passage in question.ctxs or []:
            yield f"{passage.title} {passage.text}"
