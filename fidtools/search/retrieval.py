"""Questions with the passages that a retriever ranks highest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.embeddings import Embeddings, read_embeddings, shards
from fidtools.errors import MismatchError
from fidtools.passages import PassageFile
from fidtools.records import Question
from fidtools.search.exact import search
from fidtools.search.ranked import Ranked
from fidtools.search.vectors import FileVectors, Selected, Stacked, Vectors
from fidtools.sparse.ranking import batches, document_of
from fidtools.talk import log

Array = np.ndarray[Any, Any]
BATCH = 2048  # questions searched together


class Corpus:
    """Embeddings (one file or shards) that belong to a corpus of passages, row for row, and to an encoder."""

    def __init__(self, path: Path, passages: PassageFile, encoder: dict[str, Any], *, force: bool = False) -> None:
        parts = [read_embeddings(part) for part in shards(path)]
        for problem in _mismatches(path, parts, passages, encoder):
            if not force:
                raise problem
            log.warning("%s (--force: used all the same)", problem.problem)
        self.passages = passages
        self.vectors: Vectors = Stacked([FileVectors(part.path) for part in parts])

    def within(self, doc_id: str) -> Vectors:
        """The vectors of one document's passages."""
        return Selected(self.vectors, self.passages.rows_within(doc_id))


def _mismatches(
    path: Path, parts: Sequence[Embeddings], passages: PassageFile, encoder: dict[str, Any]
) -> Iterator[MismatchError]:
    rows = sum(part.rows for part in parts)
    same_ids = parts[0].meta["ids_sha256"] == passages.ids_sha256 if len(parts) == 1 else _same_ids(parts, passages)
    if rows != len(passages) or not same_ids:
        problem = f"its {rows} rows are not the {len(passages)} passages of {passages.path}"
        yield MismatchError(problem, path=path, hint="embed those passages, or name the ones that were embedded")
    for part in parts:
        made_by = part.meta.get("encoder")
        if made_by is not None and made_by != encoder:
            names = [name for name in encoder if encoder[name] != made_by.get(name)]
            problem = f"written by another encoder than --retriever: they differ in {', '.join(names)}"
            yield MismatchError(problem, path=part.path, hint="embed the passages with this retriever")


def _same_ids(parts: Sequence[Embeddings], passages: PassageFile) -> bool:
    ids = (identifier for part in parts for identifier in part.ids)
    return all(identifier == passage.id for identifier, passage in zip(ids, passages, strict=False))


def retrieve(
    questions: Iterable[Question],
    encode: Callable[[Sequence[str]], Array],
    corpus: Corpus,
    k: int,
    *,
    within: bool = False,
    **options: Any,
) -> Iterator[Question]:
    """Each question with its `k` best passages as `ctxs`, a batch in memory at a time.

    The score is E(q)ᵀE(p)/√d (paper, section 3.3), under the name `dense`. `within` searches the passages of the
    question's document; raises DataError for a question whose `doc_id` is missing or names no passage.
    """
    for batch in batches(questions, BATCH):
        asked = encode([question.question for question in batch])
        found = (
            _search_within(batch, asked, corpus, k, options) if within else search(asked, corpus.vectors, k, **options)
        )
        ranked = found if isinstance(found, list) else [(r, s) for r, s in zip(found.rows, found.scores, strict=True)]
        for question, (rows, scores) in zip(batch, ranked, strict=True):
            question.ctxs = [corpus.passages[row] for row in rows.tolist()]
            for passage, score in zip(question.ctxs, scores.tolist(), strict=True):
                passage.set_score("dense", score / asked.shape[1] ** 0.5)
            yield question


def _search_within(
    batch: Sequence[Question], asked: Array, corpus: Corpus, k: int, options: dict[str, Any]
) -> list[tuple[Array, Array]]:
    """Rows and scores for each question, all questions of one document searched together."""
    found: list[tuple[Array, Array]] = [(np.empty(0), np.empty(0))] * len(batch)
    documents: dict[str, list[int]] = {}
    for place, question in enumerate(batch):
        documents.setdefault(document_of(question, corpus.passages), []).append(place)
    for doc_id, places in documents.items():
        rows = corpus.passages.rows_within(doc_id)
        ranked: Ranked = search(asked[places], corpus.within(doc_id), k, **options)
        for place, inside, scores in zip(places, ranked.rows, ranked.scores, strict=True):
            found[place] = rows[inside], scores
    return found
