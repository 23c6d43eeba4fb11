"""Shared by BM25 and dense retrieval: batches of questions to be ranked, and the document of a question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fidtools.data.batched import batched
from fidtools.data.corpus import Corpus
from fidtools.data.records import Question


def batches(questions: Iterable[Question], size: int) -> Iterator[list[Question]]:
    """Lists of at most `size` questions, in order, without the passages of an earlier ranking."""
    return batched((replace(question, ctxs=None) for question in questions), size)


def document_of(question: Question, passages: Corpus) -> str:
    """The question's `doc_id`. Raises DataError when it is missing or no passage has it."""
    if question.doc_id is None:
        raise question.error(f"missing in question {question.id}", "doc_id", hint="--within doc_id needs it")
    if not len(passages.rows_within(question.doc_id)):
        problem = f"no passage of {passages.path} has the doc_id of question {question.id}"
        raise question.error(problem, "doc_id", question.doc_id)
    return question.doc_id
