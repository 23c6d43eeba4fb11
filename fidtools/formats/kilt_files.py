"""KILT's tasks, and what systems answer on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fidtools.data.default_ids import DefaultIds
from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.records import Location, Passage, Question
from fidtools.formats.detection import any_of, keys
from fidtools.formats.format import Format
from fidtools.formats.json_records import Record, adapted, distinct, omit

NO_QUESTION = "(no question)"  # placeholder while a record without `input` is parsed, as questions must not be empty


def kilt(record: Record) -> Record:
    """A KILT task: answers and gold pages (`gold`, Wikipedia ids) of all outputs, which stay under `output`."""
    outputs = record.get("output") or []
    answers = distinct(answer.strip() for o in outputs if (answer := o.get("answer")) and answer.strip())
    pages = distinct(str(p["wikipedia_id"]) for o in outputs for p in o.get("provenance") or [] if "wikipedia_id" in p)
    labels = ({"answers": answers} if answers else {}) | ({"gold": pages} if pages else {})
    return {**omit(record, "input"), "question": record.get("input", NO_QUESTION), **labels}


def read_kilt(path: PathLike) -> Iterator[Question]:
    """The questions of a KILT task; in a file of labels alone, without `input`, the questions are empty."""
    for question in adapted(kilt)(path):
        question.question = "" if question.question == NO_QUESTION else question.question
        yield question


def read_kilt_guess(path: PathLike) -> Iterator[Question]:
    """A system's answers on a KILT task: one output with its answer, and its pages as passages without text."""
    ids = DefaultIds(("id",))
    for number, record in read_json(path):
        where = Location(path, number)
        ids.check(record, where)
        output = _only_output(record, where)
        answer = _word(output, "answer", where)
        yield Question(
            id=_word(record, "id", where) or str(number - 1),
            question=_word(record, "input", where) or "",
            prediction=None if answer is None else answer.strip(),
            ctxs=list(_pages(output.get("provenance") or [], where)),
            location=where,
        )


def _word(record: Record, name: str, where: Location) -> str | None:
    """The field as a string, None where it is absent or null. Raises DataError where it is a list or an object."""
    value = record.get(name)
    if isinstance(value, list | dict):
        raise where.error("must be a string", name, value)
    return None if value is None else str(value)


def _only_output(record: Record, where: Location) -> Record:
    outputs = record.get("output")
    if isinstance(outputs, list) and len(outputs) == 1 and isinstance(outputs[0], dict):
        return outputs[0]
    raise where.error("a guess must have exactly one output", "output", outputs)


def _pages(provenance: Any, where: Location) -> Iterator[Passage]:
    for page in provenance:
        if isinstance(page, dict) and (name := _word(page, "wikipedia_id", where)):
            yield Passage(id=name, text="", title=_word(page, "title", where) or "")


FORMATS = (
    Format(
        "kilt",
        "questions",
        "KILT tasks",
        detect=any_of(keys("input"), keys("output.item.provenance")),
        read=read_kilt,
    ),
    Format(
        "kilt-guess",
        "questions",
        "a system's output on a KILT task (recognized by --questions)",
        read=read_kilt_guess,
    ),
)
