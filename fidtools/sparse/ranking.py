"""Questions with the passages that BM25 ranks highest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from fidtools.errors import DataError
from fidtools.passages import PassageFile
from fidtools.records import Passage, Question
from fidtools.sparse.engine import Engine, Hits

BATCH = 256  # questions searched together


def rank(
    questions: Iterable[Question], engine: Engine, passages: PassageFile, k: int = 100, within: bool = False
) -> Iterator[Question]:
    """Each question with its `k` best passages as `ctxs`, scored as `bm25`; a batch in memory at a time.

    A passage without any word of the question is not listed, so there may be fewer. `within` ranks only the passages of
    the question's document; raises DataError for a question whose `doc_id` is missing or names no passage.
    """
    for batch in batches(questions, BATCH):
        documents = [document_of(question, passages) for question in batch] if within else None
        hits = engine.search([question.question for question in batch], k, documents)
        for question, found in zip(batch, hits, strict=True):
            question.ctxs = list(_scored(passages, found))
            yield question


def batches(questions: Iterable[Question], size: int) -> Iterator[list[Question]]:
    """Lists of at most `size` questions to be ranked, in order, without the passages of an earlier ranking."""
    remaining = (replace(question, ctxs=None) for question in questions)
    while batch := list(islice(remaining, size)):
        yield batch


def document_of(question: Question, passages: PassageFile) -> str:
    """The question's `doc_id`. Raises DataError when it is missing or no passage has it."""
    if question.doc_id is None:
        raise DataError(f"question {question.id} has none", field="doc_id", hint="--within doc_id needs it")
    if not len(passages.rows_within(question.doc_id)):
        problem = f"no passage of {passages.path} has that of question {question.id}"
        raise DataError(problem, field="doc_id", value=question.doc_id)
    return question.doc_id


def _scored(passages: PassageFile, hits: Hits) -> Iterator[Passage]:
    for row, score in zip(hits.rows.tolist(), hits.scores.tolist(), strict=True):
        passage = passages[row]
        passage.set_score("bm25", score)
        yield passage
