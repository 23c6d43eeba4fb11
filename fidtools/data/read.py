"""The questions or the passages of a file, one at a time and checked: JSON lines, or a DPR table of passages."""

from __future__ import annotations

from collections.abc import Iterator

from fidtools.data.dpr_tsv import read_passage_table
from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.record_parsing import parse_corpus_passage, parse_question
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import nonempty


def read_questions(path: PathLike) -> Iterator[Question]:
    """The questions of a file (or `-`), one at a time, in order.

    Raises DataError with file, line and field; a file without any question raises it too.
    """
    for line, record in nonempty(read_json(path), "questions", path):
        yield parse_question(record, Location(path, line))


def read_passages(path: PathLike) -> Iterator[Passage]:
    """The passages of a JSON-lines file or a DPR table (`id text title`, .tsv), one at a time, in order.

    Every passage must have an id. That ids are unique is checked where a whole corpus is read
    (`fidtools.data.corpus`). Raises DataError with file, line and field; a file without any passage raises it too.
    """
    if str(path).removesuffix(".gz").endswith(".tsv"):
        yield from read_passage_table(path)
        return
    for line, record in nonempty(read_json(path), "passages", path):
        yield parse_corpus_passage(record, Location(path, line))
