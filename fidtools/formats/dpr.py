"""The files of Dense Passage Retrieval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from fidtools.data.dpr_tsv import read_passage_table
from fidtools.data.files import PathLike, open_output
from fidtools.data.list_text import begins_a_list, parse_list_text
from fidtools.data.read import read_questions
from fidtools.data.record_parsing import ANSWERS, QUESTION
from fidtools.data.records import Location, Passage, Question
from fidtools.formats.detection import any_of, columns, header, keys
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.json_records import Record, adapted, document_field, omit
from fidtools.formats.parsing import read_rows, require_text
from fidtools.formats.writer_helpers import write_json_list, write_rows
from fidtools.metrics.answer_flags import FLAGS, answer_flag
from fidtools.metrics.answer_match import AnswerMatcher


def write_dpr(questions: Iterable[Question], path: PathLike) -> None:
    """DPR's retriever results: scores as strings, `has_answer` on every passage.

    It is that of the answer match; a passage without text keeps the flag that it has.
    """
    write_json_list(map(_dpr_question, questions), path)


def _dpr_question(question: Question) -> Record:
    passages = question.ctxs or []
    hits = AnswerMatcher(question.answers or ()).hits([passage.text for passage in passages])
    known = [None if passage.text else answer_flag(question, passage) for passage in passages]
    flags = [hit if flag is None else flag for hit, flag in zip(hits, known, strict=True)]
    ctxs = [_dpr_passage(passage, flag) for passage, flag in zip(passages, flags, strict=True)]
    return {**question.to_json(), "answers": question.answers or [], "ctxs": ctxs}


def _dpr_passage(passage: Passage, flag: bool) -> Record:
    rest = omit(passage.extra, *FLAGS)
    score = {} if passage.score is None else {"score": repr(passage.score)}
    scores = {"scores": passage.scores} if passage.scores else {}
    head = {**({} if passage.id is None else {"id": passage.id}), "title": passage.title, "text": passage.text}
    return {**head, **document_field(passage), **score, **scores, "has_answer": flag, **rest}


def dpr_train(record: Record) -> Record:
    """DPR's training JSON: positives first, then hard and other negatives; `gold` lists the positives' ids."""
    positive, hard, other = (record.get(f"{kind}_ctxs") or [] for kind in ("positive", "hard_negative", "negative"))
    ctxs = [_passage_of_dpr(ctx) for ctx in (*positive, *hard, *other)]
    rest = omit(record, "positive_ctxs", "hard_negative_ctxs", "negative_ctxs")
    return {**rest, "ctxs": ctxs, "gold": [c["id"] for c in ctxs[: len(positive)] if "id" in c]}


def _passage_of_dpr(ctx: Record) -> Record:
    name = next((name for name in ("passage_id", "psg_id", "id") if ctx.get(name) is not None), None)
    return ctx if name is None else {**omit(ctx, name), "id": str(ctx[name])}


def read_dpr_qa(path: PathLike) -> Iterator[Question]:
    """DPR's question file: question and a list of answers (Python's or numpy's), tab-separated with CSV quoting.

    DPR's own have no header. One that names the columns, as pandas writes it, may name others besides.
    """
    width, columns, header_rows = 2, (0, 1), 0
    for number, (line, row) in enumerate(read_rows(path, "\t")):
        where = Location(path, line)
        if number == 0 and (named := _named_columns(row)):
            width, columns, header_rows = len(row), named, 1
            continue
        if len(row) != width:
            raise where.error(f"expected {width} columns, found {len(row)}", "row", row)
        text, cell = (row[column] for column in columns)
        answers = None if _is_null(cell) else parse_list_text(cell)
        if answers is None and not _is_null(cell):
            raise where.error("must be a list of strings in Python syntax", "answers", cell)
        identifier = str(number - header_rows)
        yield Question(identifier, require_text(text, "question", where), answers, location=where)


def _named_columns(row: list[str]) -> tuple[int, int] | None:
    """Where question and answers are, when the row is a header."""
    names = [cell.strip().lower() for cell in row]
    found = [next((names.index(name) for name in known if name in names), None) for known in (QUESTION, ANSWERS)]
    question, answers = found
    return None if question is None or answers is None else (question, answers)


def _is_dpr_qa(head: Head) -> bool:
    """Tab-separated rows with a list (or nothing) in the place of the answers, in all rows seen but a header."""
    rows = [] if head.start else head.rows("\t")
    named = _named_columns(rows[0]) if rows else None
    width, answers = (len(rows[0]), named[1]) if named else (2, 1)
    rest = rows[1:] if named else rows
    if not all(len(row) == width for row in rest):
        return False
    cells = [row[answers] for row in rest]
    return any(map(begins_a_list, cells)) and all(begins_a_list(cell) or _is_null(cell) for cell in cells)


def _is_null(cell: str) -> bool:
    """Whether pandas or a database wrote that there is no value."""
    return cell.strip().lower() in ("", "nan", "none", "null", "<na>")


def write_psgs(passages: Iterable[Passage], path: PathLike) -> None:
    """DPR's psgs_w100.tsv: `id text title` under a header, tab-separated with CSV quoting."""
    rows: Iterable[tuple[Any, ...]] = ((p.id, p.text, p.title) for p in passages)
    with open_output(path) as out:
        write_rows(chain([("id", "text", "title")], rows), out)


def _is_passage_row(row: list[str]) -> bool:
    """A row of psgs_w100.tsv without its header: a number and a text of several words; no list is a title."""
    return row[0].isdigit() and " " in row[1] and not parse_list_text(row[2])


FORMATS = (
    Format(
        "dpr",
        "questions",
        "DPR's retriever results",
        detect=keys("question", "ctxs.item.has_answer"),
        read=read_questions,
        write=write_dpr,
    ),
    Format(
        "dpr-train",
        "questions",
        "DPR's training JSON",
        detect=keys("question", "positive_ctxs"),
        read=adapted(dpr_train),
    ),
    Format(
        "dpr-qa",
        "questions",
        "DPR's question file: question, list of answers",
        detect=_is_dpr_qa,
        read=read_dpr_qa,
    ),
    Format(
        "psgs",
        "passages",
        "DPR's psgs_w100.tsv: id, text, title",
        detect=any_of(header("id", "text", "title", separator="\t"), columns(3, _is_passage_row, "\t")),
        read=read_passage_table,
        write=write_psgs,
        fields_kept=frozenset({"id", "title", "text"}),
    ),
)
