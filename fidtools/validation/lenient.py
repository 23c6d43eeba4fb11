"""Questions or passages of a file that may have bad lines: those are collected, and reading goes on after them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from fidtools.data.dpr_tsv import is_table, read_numbered_table
from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.record_parsing import QUESTION, parse_corpus_passage, parse_question
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError

Kind = Literal["questions", "passages"]
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
        if is_table(self.path):
            self.kind = "passages"
            yield from self._until_error(read_numbered_table(self.path))
            return
        for line, record in self._until_error(read_json(self.path, self._note)):
            if self.kind is None:
                self.kind = "questions" if any(name in record for name in QUESTION) else "passages"
            parse = parse_question if self.kind == "questions" else parse_corpus_passage
            try:
                yield line, parse(record, Location(self.path, line))
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
