"""The first bytes of a file, from which its format is detected."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import ijson

from fidtools.data.files import open_input
from fidtools.data.gzip_names import without_gzip
from fidtools.data.json_structure import ShallowJson

HEAD_BYTES = 1 << 18
BOM = b"\xef\xbb\xbf"
HEAD_LINES = 50
SEPARATOR_LINE = re.compile(r'"?sep=[^"]"?\r?\n?', re.IGNORECASE)
"""The line that tells Excel how the cells of a table below it are separated."""


@dataclass(frozen=True)
class Head:
    """The name of a file and its first bytes (decompressed), as text lines or as the keys of a JSON record."""

    path: Path
    data: bytes

    @classmethod
    def of(cls, path: str | Path) -> Head:
        """The head of a file. Raises OSError as the system does. A folder and a corrupt .gz have no bytes."""
        if Path(path).is_dir():
            return cls(Path(path), b"")
        try:
            with open_input(path) as stream:
                return cls(Path(path), stream.read(HEAD_BYTES))
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return cls(Path(path), b"")

    @property
    def name(self) -> str:
        """The file's name without .gz."""
        return without_gzip(self.path.name)

    @property
    def is_cut(self) -> bool:
        """Whether the file goes on after these bytes."""
        return len(self.data) == HEAD_BYTES

    @cached_property
    def lines(self) -> list[str]:
        """The first complete lines; none when the bytes are not text."""
        return list(islice(self._complete_lines(), HEAD_LINES))

    @cached_property
    def _text(self) -> str:
        """The complete lines, without one for Excel before a table; empty when the bytes are not text."""
        complete = self.data[: self.data.rfind(b"\n") + 1] if self.is_cut else self.data
        try:
            text = complete.removeprefix(BOM).decode()
        except UnicodeDecodeError:
            return ""
        first, end, rest = text.partition("\n")
        return rest if SEPARATOR_LINE.fullmatch(first + end) else text

    def _complete_lines(self) -> Iterator[str]:
        yield from (line.removesuffix("\r") for line in self._text.split("\n") if line.strip())

    @cached_property
    def all_lines(self) -> list[str]:
        """All complete lines of the head."""
        return list(self._complete_lines())

    def rows(self, delimiter: str) -> list[list[str]]:
        """The first complete rows of a table with CSV quoting, whose cells may hold line breaks."""
        found: list[list[str]] = []
        with contextlib.suppress(csv.Error):
            rows = (row for row in csv.reader(io.StringIO(self._text, newline=""), delimiter=delimiter) if row)
            found = list(islice(rows, HEAD_LINES + 1))
        return found[: min(HEAD_LINES, len(found) - self.is_cut)]

    @cached_property
    def start(self) -> str:
        """The first character of a JSON document ("{" or "["); empty for other files."""
        text = self.data.removeprefix(BOM).lstrip()
        return text[:1].decode() if text[:1] in (b"{", b"[") else ""

    @property
    def keys(self) -> frozenset[str]:
        """The paths to the values of the first JSON record ("ctxs.item.text"), null ones left out.

        Of a list, the first element counts.
        """
        return self._paths[0]

    @property
    def null_keys(self) -> frozenset[str]:
        """The paths to the null values of the first JSON record."""
        return self._paths[1]

    @property
    def list_keys(self) -> frozenset[str]:
        """The paths to the lists of the first JSON record, also to empty ones."""
        return self._paths[2]

    @cached_property
    def _paths(self) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        if not self.start:
            return frozenset(), frozenset(), frozenset()
        root = "item" if self.start == "[" else ""
        found: set[str] = set()
        null: set[str] = set()
        lists: set[str] = set()
        try:
            document = ShallowJson(io.BytesIO(self.data.removeprefix(BOM)))
            for prefix, event, _ in ijson.parse(document, multiple_values=True, use_float=True):
                if (prefix, event) == (root, "end_map"):
                    break
                name = prefix.removeprefix(root).removeprefix(".")
                # tables fill the columns that a row lacks with null
                (null if event == "null" else found).add(name)
                if event == "start_array":
                    lists.add(name)
        except (ijson.JSONError, ValueError):
            pass  # the head ends in the middle of the record, or reading it will fail: the keys before it count
        return frozenset(found - {""}), frozenset(null), frozenset(lists)

    def has(self, *keys: str) -> bool:
        """Whether the first JSON record has all of these."""
        return self.keys.issuperset(keys)
