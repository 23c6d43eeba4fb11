"""The questions or the passages of a file, one at a time and checked: JSON lines, or a DPR table of passages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fidtools.data.dpr_tsv import read_passage_table
from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.records import Location, Passage, Question, parse_passage, parse_question
from fidtools.errors import DataError

T = TypeVar("T")


def read_questions(path: PathLike) -> Iterator[Question]:
    """The questions of a file (or `-`), one at a time, in order.

    Raises DataError with file, line and field; a file without any question raises it too.
    """
    yield from _records(path, parse_question, "questions")


def read_passages(path: PathLike) -> Iterator[Passage]:
    """The passages of a JSON-lines file or a DPR table (`id text title`, .tsv), one at a time, in order.

    Every passage must have an id; uniqueness is checked where a whole corpus is read (`fidtools.data.corpus`).
    """
    if str(path).removesuffix(".gz").endswith(".tsv"):
        yield from read_passage_table(path)
        return
    for line, record in _nonempty(read_json(path), path, "passages"):
        passage = parse_passage(record, where := Location(path, line))
        if passage.id is None:
            raise where.error("missing", "id", hint="every passage of a corpus needs an id of its own")
        yield passage


def _records(path: PathLike, parse: Callable[[dict[str, Any], Location], T], what: str) -> Iterator[T]:
    for line, record in _nonempty(read_json(path), path, what):
        yield parse(record, Location(path, line))


def _nonempty(items: Iterator[T], path: PathLike, what: str) -> Iterator[T]:
    empty = True
    for item in items:
        empty = False
        yield item
    if empty:
        raise DataError(f"no {what} in it: the file is empty", path=path)
