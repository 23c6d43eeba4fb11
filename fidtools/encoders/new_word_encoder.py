"""A new LSTM or CNN encoder: its size, its vocabulary and its initial word vectors."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from fidtools.data.read import read_questions
from fidtools.encoders.student_size import StudentSize
from fidtools.encoders.word_encoders import WordEncoder
from fidtools.encoders.word_tokenizer import build_vocabulary
from fidtools.encoders.word_vectors import read_word_vectors
from fidtools.errors import UsageError

SPREAD = 0.1


"""Standard deviation of new word vectors."""


def start_vectors(train: str, size: StudentSize) -> tuple[list[str], torch.Tensor]:
    """A vocabulary and a vector for each word: small random ones, or a file's.

    The words are those of the training file, and where there are vectors also those that only texts to come may have.
    Raises UsageError when vectors are to be kept but none are given.
    """
    if size.freeze_words and size.word_vectors is None:
        raise UsageError("`freeze_words` needs the word vectors to keep", hint="give them with `word_vectors`")
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
