"""Embedding of corpora and question files to `.npy`, block by block; the next blocks are tokenized in a thread.

The vectors of a block depend only on its texts. So resumed runs and any number of ranks write the same bytes, on the
same kind of machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import orjson

from fidtools.compute.prefetch import prefetch
from fidtools.compute.ranks import barrier, main_rank_first, ranks
from fidtools.data.corpus import Corpus, open_passages
from fidtools.data.embedding_writer import RowWriter, are_finished, clear_unfinished, create_embeddings
from fidtools.data.files import PathLike
from fidtools.data.read import read_questions
from fidtools.data.records import Question
from fidtools.errors import DataError
from fidtools.logs import log, track
from fidtools.retriever.encoding import TOKEN_BUDGET, Retriever
from fidtools.retriever.tower import TokenIds

BLOCK = 4096
"""Texts that are encoded together in order of length, and written at once."""


class TextSource(Protocol):
    """Texts to embed."""

    def __len__(self) -> int: ...

    def ids(self) -> Iterable[str]:
        """One id per text."""

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

    def token_ids(self, retriever: Retriever, start: int, stop: int) -> TokenIds:
        """The token ids of passages start … stop − 1, titles included."""
        return retriever.tokenize_passages(self.passages[row] for row in range(start, stop))

    def meta(self, retriever: Retriever) -> dict[str, Any]:
        """The passage encoder's fingerprint and the hash of the corpus."""
        return {"of": "passages", "encoder": retriever.fingerprint, "text_sha256": self.passages.text_sha256}


class QuestionSource:
    """The questions of a file, kept in memory."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self.items = [(question.id, question.question) for question in questions]

    def __len__(self) -> int:
        return len(self.items)

    def ids(self) -> Iterable[str]:
        """The questions' ids."""
        return (identifier for identifier, _ in self.items)

    def token_ids(self, retriever: Retriever, start: int, stop: int) -> TokenIds:
        """The token ids of questions start … stop − 1."""
        return retriever.tokenize_questions(text for _, text in self.items[start:stop])

    def meta(self, retriever: Retriever) -> dict[str, Any]:
        """The fingerprints of the question encoder and of its passage encoder, and the hash of the questions."""
        return {
            "of": "questions",
            "encoder": retriever.fingerprint,
            "question_encoder": retriever.question_fingerprint,
            "text_sha256": hashlib.sha256(orjson.dumps(self.items)).hexdigest(),
        }


def open_source(path: PathLike, questions: bool) -> TextSource:
    """The passages or questions of a file. Under `torchrun` rank 0 indexes a new corpus before the others open it."""
    if questions:
        return QuestionSource(read_questions(path))
    with main_rank_first():
        return PassageSource(open_passages(path))


def embed(
    source: TextSource,
    retriever: Retriever,
    path: PathLike,
    *,
    dtype: str = "float32",
    token_budget: int = TOKEN_BUDGET,
    resume: bool = False,
) -> float:
    """Write the vectors of all texts to `path` (X.npy, X.ids, X.json). Returns this rank's texts per second.

    Under `torchrun` every rank encodes its share of the blocks. Raises FidtoolsError when the disk has less than the
    needed n × d × 4 (float32) or × 2 (float16) bytes free, DataError for a text without any token,
    UsageError when `resume` finds a run, finished or not, with other settings.
    """
    meta = source.meta(retriever) | {"precision": str(retriever.compute.dtype).removeprefix("torch.")}
    if resume and are_finished(path, len(source), retriever.dim, dtype, meta, source.ids()):
        if ranks().is_main:
            clear_unfinished(path)
        log.info("%s is finished; nothing to do", path)
        return 0.0
    with _shared_writer(source, retriever, path, dtype, meta, resume) as writer:
        done, seconds = _encode_missing(source, retriever, writer, token_budget)
    retriever.report_cuts(shared=True)
    log.info("encoded %d texts in %.1f s, %.1f per second", done, seconds, rate := done / max(seconds, 1e-9))
    return rate


@contextlib.contextmanager
def _shared_writer(
    source: TextSource, retriever: Retriever, path: PathLike, dtype: str, meta: dict[str, Any], resume: bool
) -> Iterator[RowWriter]:
    """One set of embeddings that all ranks write into: rank 0 creates the files, the others join, rank 0 finishes."""
    if not ranks().is_main:
        barrier()  # the files are there
        with RowWriter(path, retriever.dim, dtype) as writer:
            yield writer
        barrier()  # every rank has written
        return
    with create_embeddings(path, len(source), retriever.dim, dtype, meta, ids=source.ids(), resume=resume) as writer:
        barrier()
        yield writer
        barrier()


def _encode_missing(
    source: TextSource, retriever: Retriever, writer: RowWriter, token_budget: int
) -> tuple[int, float]:
    def end(start: int) -> int:
        return min(start + BLOCK, len(source))

    share = ranks().shard(list(range(0, len(source), BLOCK)))
    mine = [start for start in share if writer.missing(start, end(start))]
    encoder = (retriever.passage_tower if isinstance(source, PassageSource) else retriever.question_tower).encoder
    started, done = time.perf_counter(), 0

    def tokenize(start: int) -> tuple[int, TokenIds]:
        token_ids = source.token_ids(retriever, start, end(start))
        if not all(token_ids):
            number = start + [*map(bool, token_ids)].index(False)
            raise DataError("a text without any token", field="row", value=number)
        return start, token_ids

    texts = sum(end(start) - start for start in mine)
    blocks = prefetch(mine, tokenize, depth=2)
    for start, token_ids in track(blocks, "texts embedded", total=texts, size=lambda block: len(block[1])):
        writer.write(start, retriever.encode_token_ids(token_ids, encoder, token_budget))
        done += len(token_ids)
    return done, time.perf_counter() - started
