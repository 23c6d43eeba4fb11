"""Shared by BM25 and dense retrieval: batches of questions to be ranked, and the document of a question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fidtools.data.batched import batched
from fidtools.data.corpus import Corpus
from fidtools.data.records import Question
from fidtools.logs import log

ANSWER_FIELDS = ("log_probability", "predictions")  # of `read`, beside `prediction`


def batches(questions: Iterable[Question], size: int) -> Iterator[list[Question]]:
    """Lists of at most `size` questions, in order, without the passages of an earlier ranking and their answers."""
    return batched(without_answers(replace(question, ctxs=None) for question in questions), size)


def without_answers(questions: Iterable[Question]) -> Iterator[Question]:
    """Questions that get other passages, without the predictions made from earlier ones; warns of how many had any."""
    count = 0
    for question in questions:
        if question.prediction is not None:
            count += 1
            rest = {name: value for name, value in question.extra.items() if name not in ANSWER_FIELDS}
            question = replace(question, prediction=None, extra=rest)
        yield question
    if count:
        log.warning("the predictions of %s questions were removed: other passages are listed now", f"{count:,}")


def document_of(question: Question, passages: Corpus) -> str:
    """The question's `doc_id`. Raises DataError when it is missing or no passage has it."""
    if question.doc_id is None:
        raise question.error(f"missing in question {question.id}", "doc_id", hint="--within doc_id needs it")
    if not len(passages.rows_within(question.doc_id)):
        problem = f"no passage of {passages.path} has the doc_id of question {question.id}"
        raise question.error(problem, "doc_id", question.doc_id)
    return question.doc_id
