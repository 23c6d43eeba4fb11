"""Readers of other systems' JSON records: an adapter renames their fields to ours; all other fields are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fidtools.data.default_ids import DefaultIds
from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.record_parsing import QUESTION_ID, parse_question
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError

Record = dict[str, Any]
Adapter = Callable[[Record], Record]


def adapted(adapt: Adapter) -> Callable[[PathLike], Iterator[Question]]:
    """A reader of JSON lines (or of one JSON list) whose records `adapt` brings into our form.

    It raises DataError also for a missing id beside one that is a number (`DefaultIds`).
    """

    def read(path: PathLike) -> Iterator[Question]:
        ids = DefaultIds(QUESTION_ID)
        for number, record in read_json(path):
            yield parse_adapted(adapt, record, Location(path, number), ids)

    return read


def parse_adapted(adapt: Adapter, record: Record, where: Location, ids: DefaultIds | None = None) -> Question:
    """One record as a Question. Raises DataError for a record that does not have the format's fields.

    `ids` checks the ids of a format whose records may lack them. A null field counts as absent, also in the objects of
    the record.
    """
    try:
        ours = adapt(_without_null(record))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = f"does not have the fields of this format: {type(error).__name__} {error}"
        hint = "name the file's format with --from"
        raise DataError(problem, path=where.path, line=where.line, value=record, hint=hint) from error
    question = parse_question(ours, where)
    if ids is not None:
        ids.check(ours, where)
    return question


def _without_null(value: Any) -> Any:
    """The value without null fields of its objects; null items of lists stay."""
    if isinstance(value, dict):
        return {name: _without_null(item) for name, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value


def omit(record: Record, *names: str) -> Record:
    """The record without these fields."""
    return {name: value for name, value in record.items() if name not in names}


def document_field(passage: Passage) -> Record:
    """The field `doc_id` of a passage that has one, else nothing."""
    return {} if passage.doc_id is None else {"doc_id": passage.doc_id}


def distinct(values: Iterable[Any]) -> list[Any]:
    """The values in order, each once."""
    return list(dict.fromkeys(values))
