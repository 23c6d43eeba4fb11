"""Scored passages as training sets of other libraries, so that any student can learn from our teachers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fidtools.data.files import PathLike, atomic_folder, open_output
from fidtools.data.jsonl import write_lines
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError
from fidtools.formats.writers import beir_document


def write_sentence_transformers(questions: Iterable[Question], path: PathLike) -> None:
    """Lines for sentence-transformers' DistillKLDivLoss: `query`, `positive`, `negative_1` … `negative_n`, `label`.

    `label` are the scores in the order of the columns; the passage with the highest score is the positive one.
    Raises DataError when questions differ in their number of passages, since the columns must be the same on all lines.
    """
    write_lines(path, _same_width(map(_distil, questions)))


def _distil(question: Question) -> dict[str, Any]:
    passages = scored(question)
    negatives = {f"negative_{rank}": _text(passage) for rank, passage in enumerate(passages[1:], 1)}
    labels = [passage.score for passage in passages]
    return {"query": question.question, "positive": _text(passages[0]), **negatives, "label": labels}


def _same_width(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    width = None
    for number, row in enumerate(rows, 1):
        width = width or len(row)
        if len(row) != width:
            hint = "--top N keeps the best N and leaves out questions with fewer"
            problem = f"{len(row['label'])} passages, {width - 2} in the questions before"
            raise DataError(problem, line=number, field="ctxs", hint=hint)
        yield row


def scored(question: Question) -> Sequence[Passage]:
    """The passages by falling score. Raises DataError where there is none, or one without a score."""
    if not question.ctxs or any(passage.score is None for passage in question.ctxs):
        problem = f"question {question.id} has a passage without a score" if question.ctxs else "missing"
        raise DataError(problem, field="ctxs", hint="fidtools score-attn adds scores")
    question.sort_ctxs()
    return question.ctxs


def _text(passage: Passage) -> str:
    return f"{passage.title} {passage.text}".strip()


def write_pylate(questions: Iterable[Question], path: PathLike) -> None:
    """A folder for PyLate's distillation: `train.jsonl` (query_id, document_ids, scores), `queries.jsonl`,
    `documents.jsonl`. Every document is written once; their ids are held in memory.
    """
    seen: set[str] = set()
    with (
        atomic_folder(path) as folder,
        open_output(folder / "train.jsonl") as train,
        open_output(folder / "queries.jsonl") as queries,
        open_output(folder / "documents.jsonl") as documents,
    ):
        for question in questions:
            passages = scored(question)
            ids = [_id(passage, question) for passage in passages]
            scores = [passage.score for passage in passages]
            train.line({"query_id": question.id, "document_ids": ids, "scores": scores})
            queries.line({"query_id": question.id, "text": question.question})
            for name, passage in zip(ids, passages, strict=True):
                if name not in seen:
                    documents.line({"document_id": name, "text": _text(passage)})
            seen.update(ids)


def write_beir(questions: Iterable[Question], path: PathLike) -> None:
    """A BEIR folder: `queries.jsonl`, `corpus.jsonl` (every passage of `ctxs` once), `qrels/test.tsv` (from `gold`)."""
    seen: set[str] = set()
    with atomic_folder(path) as folder:
        (folder / "qrels").mkdir()
        with (
            open_output(folder / "queries.jsonl") as queries,
            open_output(folder / "corpus.jsonl") as corpus,
            open_output(folder / "qrels" / "test.tsv") as qrels,
        ):
            qrels.write(b"query-id\tcorpus-id\tscore\n")
            for question in questions:
                queries.line({"_id": question.id, "text": question.question})
                for name in question.extra.get("gold") or ():
                    qrels.write(f"{question.id}\t{name}\t1\n".encode())
                for passage in question.ctxs or ():
                    if _id(passage, question) not in seen:
                        corpus.line(beir_document(passage))
                        seen.add(_id(passage, question))


def _id(passage: Passage, question: Question) -> str:
    if passage.id is None:
        raise DataError(f"missing in question {question.id}", field="ctxs.id")
    return passage.id
