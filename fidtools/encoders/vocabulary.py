"""The vocabulary of a new word encoder and its initial word vectors."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from fidtools.data.read import read_questions
from fidtools.encoders.student_size import StudentSize
from fidtools.encoders.word_tokenizer import build_vocabulary
from fidtools.encoders.word_vectors import read_word_vectors
from fidtools.errors import UsageError

INIT_STD = 0.1
"""Standard deviation of word vectors that are learned from scratch."""


def new_vocabulary(train: str, size: StudentSize) -> tuple[list[str], torch.Tensor]:
    """The words of a training file with padding as word 0, and their initial vectors (words, dim).

    The vectors are random, or those of the file `size.word_vectors`; that file's other words are then added up to
    `size.words`, so that texts outside the training file are covered. Raises UsageError when vectors are to be frozen
    but none are given.
    """
    if size.freeze_words and size.word_vectors is None:
        raise UsageError("`freeze_words` needs the word vectors to keep", hint="give them with `word_vectors`")
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
