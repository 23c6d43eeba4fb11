"""Corpora and question files to `.npy`: blocks tokenised ahead, encoded in length order, written where they belong.

What a block's vectors are depends on nothing but the block, so runs that were killed, and any number of ranks, give the
same bytes on the same kind of machine.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from fidtools.compute.prefetch import ahead
from fidtools.compute.ranks import barrier, main_rank_first, ranks
from fidtools.data.corpus import Corpus, open_passages
from fidtools.data.embedding_writer import RowWriter, create_embeddings
from fidtools.data.files import PathLike
from fidtools.data.read import read_questions
from fidtools.data.records import Question
from fidtools.errors import DataError
from fidtools.logs import log, track
from fidtools.retriever.encoding import TOKEN_BUDGET, Retriever, TokenRows

BLOCK = 4096


class Source(Protocol):
    """Texts to embed."""

    def __len__(self) -> int: ...

    def ids(self) -> Iterable[str]:
        """One id per text."""

    def rows(self, retriever: Retriever, start: int, stop: int) -> TokenRows:
        """The token ids of texts start … stop-1."""

    def meta(self, retriever: Retriever) -> dict[str, Any]:
        """What the vectors are made of, besides rows, dimension and type."""


class PassageSource:
    """The passages of a corpus."""

    def __init__(self, passages: Corpus) -> None:
        self.passages = passages

    def __len__(self) -> int:
        return len(self.passages)

    def ids(self) -> Iterable[str]:
        """The passages' ids."""
        return self.passages.ids()

    def rows(self, retriever: Retriever, start: int, stop: int) -> TokenRows:
        """Title and text, formatted as the retriever reads them."""
        return retriever.passage_rows(self.passages[row] for row in range(start, stop))

    def meta(self, retriever: Retriever) -> dict[str, Any]:
        """The encoder's fingerprint and the corpus's hash."""
        return {"of": "passages", "encoder": retriever.fingerprint, "text_sha256": self.passages.text_sha256}


class QuestionSource:
    """Questions, which fit into memory."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self.items = [(question.id, question.question) for question in questions]

    def __len__(self) -> int:
        return len(self.items)

    def ids(self) -> Iterable[str]:
        """The questions' ids."""
        return (identifier for identifier, _ in self.items)

    def rows(self, retriever: Retriever, start: int, stop: int) -> TokenRows:
        """The questions, formatted as the retriever reads them."""
        return retriever.question_rows(text for _, text in self.items[start:stop])

    def meta(self, retriever: Retriever) -> dict[str, Any]:
        """The fingerprints of both sides: the questions' own, and the passages' that they can be compared with."""
        return {
            "of": "questions",
            "encoder": retriever.fingerprint,
            "question_encoder": retriever.question_fingerprint,
        }


def open_source(path: PathLike, questions: bool) -> Source:
    """The passages or the questions of a file. Under `torchrun` the first rank looks through a new corpus first."""
    if questions:
        return QuestionSource(read_questions(path))
    with main_rank_first():
        return PassageSource(open_passages(path))


def embed(
    source: Source,
    retriever: Retriever,
    path: PathLike,
    *,
    dtype: str = "float32",
    token_budget: int = TOKEN_BUDGET,
    resume: bool = False,
) -> float:
    """Write the vectors of every text to `path` (X.npy, X.ids, X.json); returns this rank's texts per second.

    Needs n × d × 4 (float32) or 2 (float16) bytes of disk, which are checked first. Under `torchrun` every rank
    encodes its share of the blocks. Raises FidtoolsError when the disk is too small, UsageError when `resume` finds an
    unfinished run with other settings.
    """
    with _shared_writer(source, retriever, path, dtype, resume) as writer:
        done, seconds = _encode_missing(source, retriever, writer, token_budget)
    log.info("encoded %d texts in %.1f s, %.1f a second", done, seconds, rate := done / max(seconds, 1e-9))
    return rate


@contextlib.contextmanager
def _shared_writer(
    source: Source, retriever: Retriever, path: PathLike, dtype: str, resume: bool
) -> Iterator[RowWriter]:
    """One set of embeddings that all ranks write into: rank 0 creates the files, the others join, rank 0 finishes."""
    if not ranks().is_main:
        barrier()  # the files are there
        with RowWriter(path, retriever.dim, dtype) as writer:
            yield writer
        barrier()  # every rank has written
        return
    meta = source.meta(retriever) | {"precision": str(retriever.dtype).removeprefix("torch.")}
    with create_embeddings(path, len(source), retriever.dim, dtype, meta, ids=source.ids(), resume=resume) as writer:
        barrier()
        yield writer
        barrier()


def _encode_missing(source: Source, retriever: Retriever, writer: RowWriter, token_budget: int) -> tuple[int, float]:
    def end(start: int) -> int:
        return min(start + BLOCK, len(source))

    share = ranks().shard(list(range(0, len(source), BLOCK)))
    mine = [start for start in share if writer.missing(start, end(start))]
    encoder = (retriever.passage_tower if isinstance(source, PassageSource) else retriever.question_tower)[0]
    started, done = time.perf_counter(), 0

    def tokenised() -> Iterator[tuple[int, TokenRows]]:
        for start in mine:
            rows = source.rows(retriever, start, end(start))
            if not all(rows):
                raise DataError(
                    "a text without a single token", field="row", value=start + [*map(bool, rows)].index(False)
                )
            yield start, rows

    for start, rows in track(ahead(tokenised()), "embedding", total=len(mine)):
        writer.write(start, retriever.encode_rows(rows, encoder, token_budget))
        done += len(rows)
    return done, time.perf_counter() - started
