"""Scored passages as training sets of other libraries, so that their models can be trained on our teachers' scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fidtools.data.distinct_ids import DistinctPassages, distinct_questions, require_one_text
from fidtools.data.files import PathLike, atomic_folder, open_output
from fidtools.data.grades import gold_ids
from fidtools.data.jsonl import write_lines
from fidtools.data.outputs import FolderKind
from fidtools.data.records import Passage, Question
from fidtools.formats.format import Format
from fidtools.formats.training_gold import noting_lost_gold
from fidtools.formats.writer_helpers import MARK, leave_mark, required
from fidtools.logs import log

PYLATE_FILES = ("train.jsonl", "queries.jsonl", "documents.jsonl", MARK)
KIND = FolderKind("a PyLate folder by `convert`", PYLATE_FILES, PYLATE_FILES, has_force=False)
DISTILLED_FIELDS = frozenset({"id", "question", "ctxs.id", "ctxs.title", "ctxs.text", "ctxs.score"})


def write_sentence_transformers(questions: Iterable[Question], path: PathLike) -> None:
    """Lines for sentence-transformers' DistillKLDivLoss: `query`, `positive`, `negative_1` … `negative_n`, `label`.

    `label` are the scores in the order of the columns; the passage with the highest score is the positive one.
    Raises DataError when questions differ in their number of passages, since the columns must be the same on all lines.
    """
    write_lines(path, map(_training_line, _of_one_width(questions)))


def _training_line(question: Question) -> dict[str, Any]:
    passages = question.ctxs or []
    negatives = {f"negative_{rank}": _text(passage) for rank, passage in enumerate(passages[1:], 1)}
    labels = [passage.score for passage in passages]
    return {"query": question.question, "positive": _text(passages[0]), **negatives, "label": labels}


def _of_one_width(questions: Iterable[Question]) -> Iterator[Question]:
    """The questions with sorted passages. Raises DataError for one with another number of passages than the first."""
    width = None
    for question in questions:
        count = len(sorted_passages(question))
        width = width or count
        if count != width:
            hint = "--top N keeps the first N passages and skips questions with fewer"
            raise question.error(f"{count} passages, {width} in the questions before", "ctxs", hint=hint)
        yield question


def sorted_passages(question: Question) -> Sequence[Passage]:
    """The passages by descending score. Raises DataError where there is none, or one without a score."""
    if not question.ctxs:
        raise question.error("missing", "ctxs", hint="fidtools score-attn adds scores")
    for passage in question.ctxs:
        required(passage, "score", question)
    question.sort_ctxs()
    return question.ctxs


def _text(passage: Passage) -> str:
    return f"{passage.title} {passage.text}".strip()


def write_flag_embedding(questions: Iterable[Question], path: PathLike) -> None:
    """FlagEmbedding's training lines: `query`, `pos`, `neg`, `pos_scores` and `neg_scores` where all have one.

    Positive are the passages in `gold`; without `gold`, the passage with the highest score. Questions that lack one of
    the two sides are skipped with a warning, since FlagEmbedding draws from both.
    """
    write_lines(path, _with_both_sides(noting_lost_gold(questions)))


def _with_both_sides(questions: Iterable[Question]) -> Iterator[dict[str, Any]]:
    skipped = 0
    for question in questions:
        positive, negative = _sides(question)
        if positive and negative:
            yield _flag_embedding_line(question.question, positive, negative)
        else:
            skipped += 1
    if skipped:
        log.warning("skipped %d questions without positive or without negative passages", skipped)


def _sides(question: Question) -> tuple[list[Passage], list[Passage]]:
    """The relevant and the other passages, the latter by descending score where there is no `gold`."""
    gold = gold_ids(question)
    if gold is None:
        passages = list(sorted_passages(question))
        return passages[:1], passages[1:]
    require_one_text(question)
    passages = question.ctxs or []
    return [p for p in passages if p.id in gold], [p for p in passages if p.id not in gold]


def _flag_embedding_line(query: str, positive: list[Passage], negative: list[Passage]) -> dict[str, Any]:
    line: dict[str, Any] = {"query": query, "pos": [*map(_text, positive)], "neg": [*map(_text, negative)]}
    if all(passage.score is not None for passage in (*positive, *negative)):
        line |= {"pos_scores": [p.score for p in positive], "neg_scores": [p.score for p in negative]}
    return line


def write_pylate(questions: Iterable[Question], path: PathLike) -> None:
    """A folder for PyLate's distillation: `train.jsonl` (query_id, document_ids, scores), `queries.jsonl`,
    `documents.jsonl`. Every document is written once; their ids are held in memory.

    Raises DataError for a question id that occurs twice, and for a passage id with two titles or texts.
    """
    known = DistinctPassages()
    with (
        atomic_folder(path, KIND) as folder,
        open_output(folder / "train.jsonl") as train,
        open_output(folder / "queries.jsonl") as queries,
        open_output(folder / "documents.jsonl") as documents,
    ):
        leave_mark(folder)
        for question in distinct_questions(questions):
            passages = sorted_passages(question)
            ids = [required(passage, "id", question) for passage in passages]
            scores = [passage.score for passage in passages]
            train.line({"query_id": question.id, "document_ids": ids, "scores": scores})
            queries.line({"query_id": question.id, "text": question.question})
            for name, passage in zip(ids, passages, strict=True):
                if known.is_new(passage, question):
                    documents.line({"document_id": name, "text": _text(passage)})


FORMATS = (
    Format(
        "sentence-transformers",
        "questions",
        "lines for sentence-transformers' DistillKLDivLoss",
        write=write_sentence_transformers,
        fields_kept=DISTILLED_FIELDS - {"id", "ctxs.id"},
    ),
    Format(
        "flagembedding",
        "questions",
        "lines for training with FlagEmbedding",
        write=write_flag_embedding,
        fields_kept=DISTILLED_FIELDS - {"id", "ctxs.id"} | {"gold"},
    ),
    Format(
        "pylate", "questions", "a folder for PyLate's distillation", write=write_pylate, fields_kept=DISTILLED_FIELDS
    ),
)
