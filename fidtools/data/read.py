"""The questions or the passages of a file, one at a time and checked: JSON lines, or a DPR table of passages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from fidtools.data.default_ids import DefaultIds
from fidtools.data.dpr_tsv import is_table, read_passage_table
from fidtools.data.files import STANDARD, PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.pipes import stdin_bytes
from fidtools.data.record_parsing import QUESTION_ID, parse_corpus_passage, parse_question
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError, nonempty

T = TypeVar("T")


def read_questions(path: PathLike) -> Iterator[Question]:
    """The questions of a file (or `-`), one at a time, in order.

    Raises DataError with file, line and field; a file without any question raises it too, and one in which some
    questions have no id and others have numbers (`DefaultIds`).
    """
    records, ids = nonempty(read_json(path), "questions", path), DefaultIds(QUESTION_ID)

    def parsed(record: dict[str, Any], where: Location) -> Question:
        question = parse_question(record, where)
        ids.check(record, where)
        return question

    yield from expecting("questions", (parsed(record, Location(path, line)) for line, record in records), path)


def read_passages(path: PathLike) -> Iterator[Passage]:
    """The passages of a JSON-lines file or a DPR table (`id text title`, .tsv), one at a time, in order.

    Every passage must have an id. That ids are unique is checked where a whole corpus is read
    (`fidtools.data.corpus`). Raises DataError with file, line and field; a file without any passage raises it too.
    """
    if is_table(path):
        yield from expecting("passages", read_passage_table(path), path)
        return
    records = nonempty(read_json(path), "passages", path)
    passages = (parse_corpus_passage(record, Location(path, line)) for line, record in records)
    yield from expecting("passages", passages, path)


def expecting(what: str, records: Iterator[T], path: PathLike) -> Iterator[T]:
    """The records as they are. An error about the first one notes what was expected: the file may be a foreign one."""
    begun, head = False, _head_of_stdin() if str(path) == STANDARD else None
    try:
        for record in records:
            begun = True
            yield record
    except DataError as error:
        if not begun:
            error.expected, error.head = what, head
        raise


def _head_of_stdin() -> bytes:
    peek = getattr(stdin_bytes(), "peek", None)
    return peek(1) if peek else b""
