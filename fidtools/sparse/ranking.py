"""Rank passages for questions by a BM25 engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fidtools.data.batched import batched
from fidtools.data.corpus import Corpus
from fidtools.data.ranking import batches, document_of
from fidtools.data.records import Passage, Question
from fidtools.data.top_k import TopK
from fidtools.logs import log
from fidtools.sparse.engine import Engine

BATCH_QUESTIONS = 256  # searched together


def rank(
    questions: Iterable[Question], engine: Engine, passages: Corpus, k: int = 100, within: bool = False
) -> Iterator[Question]:
    """Each question with its `k` best passages as `ctxs`, scored as `bm25`; one batch is in memory at a time.

    Passages that have no word in common with the question are not listed, so there may be fewer. `within` ranks only
    the passages of the question's document, still by the document frequencies of the whole corpus; raises DataError
    for a question whose `doc_id` is missing or that no passage has. Warns of questions that found no passage.
    """
    count = without = 0
    for batch in batches(questions, BATCH_QUESTIONS):
        documents = [document_of(question, passages) for question in batch] if within else None
        hits = engine.search([question.question for question in batch], k, documents)
        for question, found in zip(batch, hits, strict=True):
            question.ctxs = list(_scored(passages, found))
            count, without = count + 1, without + (not question.ctxs)
            yield question
    if without:
        log.warning("no passage was found for %s of %s questions", f"{without:,}", f"{count:,}")


def rescore(
    questions: Iterable[Question], engine: Engine, passages: Corpus, within: bool = False
) -> Iterator[Question]:
    """Each question with the score `bm25` of its own passages; their order and `score` stay.

    Passages that have no word in common with the question get 0. Every question ranks the whole corpus, or with
    `within` its document. Raises DataError for a passage that is not in the corpus.
    """
    for batch in batched(questions, BATCH_QUESTIONS):
        documents = [document_of(question, passages) for question in batch] if within else None
        hits = engine.search([question.question for question in batch], len(passages), documents)
        for question, found in zip(batch, hits, strict=True):
            scores = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
            for passage in question.ctxs or []:
                row = None if passage.id is None else passages.row_of(passage.id)
                if row is None:
                    raise question.error("a passage that is not in the corpus", "ctxs[].id", passage.id)
                passage.scores["bm25"] = scores.get(row, 0.0)
            yield question


def _scored(passages: Corpus, hits: TopK) -> Iterator[Passage]:
    for row, score in zip(hits.rows.tolist(), hits.scores.tolist(), strict=True):
        passage = passages[row]
        passage.set_score("bm25", score)
        yield passage
