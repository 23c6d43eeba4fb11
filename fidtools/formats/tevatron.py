"""Tevatron's training lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fidtools.data.distinct_ids import require_one_text
from fidtools.data.files import PathLike
from fidtools.data.grades import gold_ids
from fidtools.data.jsonl import write_lines
from fidtools.data.records import Passage, Question
from fidtools.formats.detection import any_of, keys
from fidtools.formats.distillation import DISTILLED_FIELDS
from fidtools.formats.format import Format
from fidtools.formats.json_records import Record, adapted, omit
from fidtools.formats.training_gold import noting_lost_gold
from fidtools.formats.writer_helpers import required
from fidtools.logs import log


def tevatron(record: Record) -> Record:
    """Tevatron's training lines: passages with `docid`, the positive ones first and listed in `gold`."""
    positive, negative = (record.get(f"{side}_passages") or [] for side in ("positive", "negative"))
    rest = omit(record, "query_id", "positive_passages", "negative_passages")
    gold = [str(passage["docid"]) for passage in positive]
    return {**rest, "id": record["query_id"], "ctxs": [*positive, *negative], "gold": gold}


def tevatron_ids(record: Record) -> Record:
    """Tevatron 2's training lines, which name documents without their text."""
    rest = omit(record, "query_id", "query_text", "positive_document_ids", "negative_document_ids")
    gold, other = record["positive_document_ids"], record.get("negative_document_ids") or []
    ctxs = [{"id": str(name), "text": ""} for name in (*gold, *other)]
    return {**rest, "id": record["query_id"], "question": record["query_text"], "ctxs": ctxs, "gold": [*map(str, gold)]}


def write_tevatron(questions: Iterable[Question], path: PathLike) -> None:
    """Tevatron's training lines, with a score on every passage for its distillation.

    Positive are the passages in `gold`; without `gold`, the passage with the highest score. Questions without a gold
    passage among their passages are skipped with a warning, because Tevatron's training fails on them.
    """
    write_lines(path, _with_positive(map(_training_line, noting_lost_gold(questions))))


def _with_positive(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    skipped = 0
    for line in lines:
        if line["positive_passages"]:
            yield line
        else:
            skipped += 1
    if skipped:
        log.warning("skipped %d questions without a gold passage among their passages", skipped)


def _training_line(question: Question) -> dict[str, Any]:
    positive = _positive_ids(question)
    sides: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for passage in question.ctxs or []:
        document = {"docid": passage.id, "title": passage.title, "text": passage.text}
        score = {} if passage.score is None else {"score": passage.score}
        sides[passage.id in positive].append({**document, **score})
    head = {"query_id": question.id, "query": question.question}
    answers = {} if question.answers is None else {"answers": question.answers}
    return {**head, **answers, "positive_passages": sides[True], "negative_passages": sides[False]}


def _positive_ids(question: Question) -> set[str]:
    passages = question.ctxs or []
    for passage in passages:
        required(passage, "id", question)
    require_one_text(question)
    gold = gold_ids(question)
    if gold is not None:
        return gold

    def score(passage: Passage) -> float:
        return float(required(passage, "score", question))

    return {str(max(passages, key=score).id)} if passages else set()


FORMATS = (
    Format(
        "tevatron",
        "questions",
        "Tevatron's training lines",
        detect=any_of(
            keys("query_id", "positive_passages.item.docid"), keys("query_id", "negative_passages.item.docid")
        ),
        read=adapted(tevatron),
        write=write_tevatron,
        fields_kept=DISTILLED_FIELDS | {"answers", "gold"},
    ),
    Format(
        "tevatron-ids",
        "questions",
        "Tevatron 2's training lines without text",
        detect=keys("query_id", "positive_document_ids"),
        read=adapted(tevatron_ids),
    ),
)
