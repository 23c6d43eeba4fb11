"""Questions or passages of a file that may have bad lines: those are collected, and reading goes on after them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

from fidtools.data.dpr_tsv import read_passage_table
from fidtools.data.files import PathLike, open_data
from fidtools.data.json_structure import BYTE_ORDER_MARK
from fidtools.data.jsonl import bounded_lines, parse_line, read_json
from fidtools.data.record_parsing import QUESTION, parse_corpus_passage, parse_question
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError

Kind = Literal["questions", "passages"]
Numbered = tuple[int, dict[str, Any]]
MOST_BAD_LINES = 100
"""Errors that are kept for the report; all are counted."""


@dataclass
class LenientFile:
    """A file of questions or passages, by its first good line. `bad` counts bad lines, `errors` are the first."""

    path: PathLike
    kind: Kind | None = None
    bad: int = 0
    errors: list[DataError] = field(default_factory=list)

    def records(self) -> Iterator[tuple[int, Question | Passage]]:
        """Every good record with its line, in order.

        A table or a JSON list cannot be read past its first malformed record. Raises OSError for a file that cannot be
        read at all.
        """
        if str(self.path).removesuffix(".gz").endswith(".tsv"):
            self.kind = "passages"
            yield from self._until_error(enumerate(read_passage_table(self.path), 1))
            return
        for line, record in self._until_error(self._objects()):  # a .gz may turn out to be truncated
            if self.kind is None:
                self.kind = "questions" if any(name in record for name in QUESTION) else "passages"
            parse = parse_question if self.kind == "questions" else parse_corpus_passage
            try:
                yield line, parse(record, Location(self.path, line))
            except DataError as error:
                self._note(error)

    def _objects(self) -> Iterator[Numbered]:
        with open_data(self.path) as stream:
            head = stream.peek(3)[:3].removeprefix(BYTE_ORDER_MARK).lstrip()
            if not head.startswith(b"["):
                yield from self._lines(bounded_lines(stream, self.path))
                return
        yield from self._until_error(read_json(self.path))

    def _lines(self, lines: Iterator[bytes]) -> Iterator[Numbered]:
        numbered = enumerate(lines, 1)
        first = next(self._until_error(numbered), None)
        if first is None:
            return
        start = [(1, first[1].removeprefix(BYTE_ORDER_MARK))]
        for number, line in chain(start, self._until_error(numbered)):
            if line.strip():
                try:
                    yield number, parse_line(line, self.path, number)
                except DataError as error:
                    self._note(error)

    def _until_error(self, items: Iterator[Any]) -> Iterator[Any]:
        """The items up to one that cannot be read."""
        try:
            yield from items
        except DataError as error:
            self._note(error)

    def _note(self, error: DataError) -> None:
        self.bad += 1
        if len(self.errors) < MOST_BAD_LINES:
            self.errors.append(error)
