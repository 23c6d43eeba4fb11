"""The texts that `embed` encodes: the passages of a corpus, or the questions of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Protocol

import orjson

from fidtools.compute.ranks import main_rank_first
from fidtools.data.corpus import Corpus, open_passages
from fidtools.data.distinct_ids import distinct_questions
from fidtools.data.files import PathLike
from fidtools.data.question_hashes import FIELD, joined_hashes
from fidtools.data.read import read_questions
from fidtools.data.records import Question
from fidtools.retriever.encoding import Retriever
from fidtools.retriever.tower import TokenIds, Tower

ID_HINT = "the vectors of questions are found by their ids: give each question an id of its own"


class TextSource(Protocol):
    """Texts to embed."""

    def __len__(self) -> int: ...

    def ids(self) -> Iterable[str]:
        """One id per text."""

    def tower(self, retriever: Retriever) -> Tower:
        """The side of the retriever that encodes them."""

    def token_ids(self, retriever: Retriever, start: int, stop: int) -> TokenIds:
        """The token ids of texts start … stop − 1."""

    def meta(self, retriever: Retriever) -> dict[str, Any]:
        """The entries of `X.json` that tell which encoder and texts the vectors are of."""


class PassageSource:
    """The passages of a corpus."""

    def __init__(self, passages: Corpus) -> None:
        self.passages = passages

    def __len__(self) -> int:
        return len(self.passages)

    def ids(self) -> Iterable[str]:
        """The passages' ids."""
        return self.passages.ids()

    def tower(self, retriever: Retriever) -> Tower:
        """The encoder of passages."""
        return retriever.passage_tower

    def token_ids(self, retriever: Retriever, start: int, stop: int) -> TokenIds:
        """The token ids of passages start … stop − 1, titles included."""
        return retriever.tokenize_passages(self.passages[row] for row in range(start, stop))

    def meta(self, retriever: Retriever) -> dict[str, Any]:
        """The passage encoder's fingerprint and the hash of the corpus."""
        return {"of": "passages", "encoder": retriever.fingerprint, "text_sha256": self.passages.text_sha256}


class QuestionSource:
    """The questions of a file, kept in memory. Raises DataError for an id that occurs twice: it finds the vector."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self.items = [(question.id, question.question) for question in distinct_questions(questions, ID_HINT)]

    def __len__(self) -> int:
        return len(self.items)

    def ids(self) -> Iterable[str]:
        """The questions' ids."""
        return (identifier for identifier, _ in self.items)

    def tower(self, retriever: Retriever) -> Tower:
        """The encoder of questions."""
        return retriever.question_tower

    def token_ids(self, retriever: Retriever, start: int, stop: int) -> TokenIds:
        """The token ids of questions start … stop − 1."""
        return retriever.tokenize_questions(text for _, text in self.items[start:stop])

    def meta(self, retriever: Retriever) -> dict[str, Any]:
        """The fingerprints of the question encoder and of its passage encoder, and hashes of the questions."""
        return {
            "of": "questions",
            "encoder": retriever.fingerprint,
            "question_encoder": retriever.question_fingerprint,
            "text_sha256": hashlib.sha256(orjson.dumps(self.items)).hexdigest(),
            FIELD: joined_hashes(text for _, text in self.items),
        }


def open_source(path: PathLike, questions: bool) -> TextSource:
    """The passages or questions of a file. Under `torchrun` rank 0 indexes a new corpus before the others open it."""
    if questions:
        return QuestionSource(read_questions(path))
    with main_rank_first():
        return PassageSource(open_passages(path))
