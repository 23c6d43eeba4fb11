"""The one pass over a corpus that finds where each passage lies: what `<passages>.rows/` holds and how it is made."""

from __future__ import annotations

import csv
import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from fidtools.data.dpr_tsv import HEADER, LONGEST_FIELD, table_passage, table_passages
from fidtools.data.files import PathLike
from fidtools.data.jsonl import parse_line, write_json
from fidtools.data.records import Location, Passage, parse_passage
from fidtools.errors import DataError
from fidtools.logs import track
from fidtools.typing import Array

FORMAT = 1
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class RowFiles:
    """The folder `<passages>.rows/`: where the passages lie, and which are whose.

    `offsets.npy`: the byte where row i begins, and the end. `id_hashes.npy`: hashes of the ids, rising, with their rows
    in `id_rows.npy`; the same for documents in `doc_….npy`. `passages.jsonl`: a copy, when the original cannot be read
    from the middle.
    """

    folder: Path

    @property
    def copy(self) -> Path:
        """The passages as plain lines."""
        return self.folder / "passages.jsonl"

    def save(self, name: str, values: Array) -> None:
        """Keep one of the arrays."""
        np.save(self.folder / f"{name}.npy", values)

    def load(self, name: str) -> Array:
        """One of the arrays, mapped."""
        found: Array = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return found

    def meta(self) -> dict[str, Any]:
        """What is known of the corpus; empty when there is nothing yet."""
        try:
            found: dict[str, Any] = orjson.loads((self.folder / "meta.json").read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
        return found if found.get("format") == FORMAT else {}

    def is_valid(self, source: dict[str, int]) -> bool:
        """Whether it was made from the file as it is now."""
        return self.meta().get("source") == source


def text_hash(text: str) -> int:
    """64 bits of a text, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def parse_record(raw: bytes, columns: list[int] | None, where: Location) -> Passage:
    """The passage in the bytes of one row: a table's row with these `columns`, or (None) a line of JSON."""
    if columns is None:
        return parse_passage(parse_line(raw, where.path, where.line), where)
    row = next(csv.reader(StringIO(raw.decode(), newline="\n"), delimiter="\t", strict=True))
    return table_passage(row, columns, where.path, where.line)


class Scan:
    """Reads and checks every passage of `file` (called `name` in messages), keeping some 40 bytes of each."""

    def __init__(self, name: PathLike, file: Path) -> None:
        self.name, self.file = name, file
        self.columns = [0, 1, 2] if file.suffix == ".tsv" else None
        self.offsets, self.id_hashes, self.doc_hashes, self.doc_rows = array("q"), array("Q"), array("Q"), array("q")
        self.ids, self.texts = hashlib.sha256(), hashlib.sha256()
        with open(file, "rb") as stream:
            passages = self._lines(stream) if self.columns is None else self._table(stream)
            for row, (offset, passage) in enumerate(track(passages, "reading passages")):
                self._note(row, offset, passage)
        if not self.offsets:
            raise DataError("no passages in it: the file is empty", path=name)
        self.offsets.append(file.stat().st_size)

    def _lines(self, stream: BufferedReader) -> Iterator[tuple[int, Passage]]:
        offset = len(BYTE_ORDER_MARK) if stream.peek(3)[:3] == BYTE_ORDER_MARK else 0
        stream.seek(offset)
        for number, line in enumerate(stream, 1):
            if line.strip():
                passage = parse_passage(parse_line(line, self.name, number), where := Location(self.name, number))
                if passage.id is None:
                    raise where.error("missing", "id", hint="every passage of a corpus needs an id of its own")
                yield offset, passage
            offset += len(line)

    def _table(self, stream: BufferedReader) -> Iterator[tuple[int, Passage]]:
        for passage in table_passages(self._rows(stream), self.name):
            yield self._begin, passage

    def _rows(self, stream: BufferedReader) -> Iterator[list[str]]:
        """The rows of a table; `_begin` is the byte where the last begins (the reader never takes a line too many)."""
        csv.field_size_limit(LONGEST_FIELD)
        end = 0

        def lines() -> Iterator[str]:
            nonlocal end
            for line in stream:
                end += len(line)
                yield line.decode()

        reader = csv.reader(lines(), delimiter="\t", strict=True)
        self._begin = 0
        for row in reader:
            if self._begin == 0 and set(HEADER) <= set(row):
                self.columns = [row.index(name) for name in HEADER]
            yield row
            self._begin = end

    def _note(self, row: int, offset: int, passage: Passage) -> None:
        identifier = str(passage.id)
        if "\n" in identifier or "\r" in identifier:
            raise DataError("must not hold a line break", path=self.name, line=row + 1, field="id", value=identifier)
        self.offsets.append(offset)
        self.id_hashes.append(text_hash(identifier))
        self.ids.update(identifier.encode() + b"\n")
        self.texts.update(orjson.dumps([identifier, passage.title, passage.text, passage.doc_id]))
        if passage.doc_id is not None:
            self.doc_hashes.append(text_hash(passage.doc_id))
            self.doc_rows.append(row)

    def save(self, files: RowFiles, source: dict[str, int]) -> None:
        """Write what was found. Raises DataError for two passages of one id, with both lines."""
        order = _rising(self.id_hashes)
        self._refuse_duplicates(order)
        files.save("offsets", np.frombuffer(self.offsets, np.int64))
        files.save("id_hashes", np.frombuffer(self.id_hashes, np.uint64)[order])
        files.save("id_rows", order)
        if self.doc_rows:
            order = _rising(self.doc_hashes)
            files.save("doc_hashes", np.frombuffer(self.doc_hashes, np.uint64)[order])
            files.save("doc_rows", np.frombuffer(self.doc_rows, np.int64)[order])
        write_json(files.folder / "meta.json", self._meta(source))

    def _meta(self, source: dict[str, int]) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "source": source,
            "rows": len(self.id_hashes),
            "columns": self.columns,
            "has_doc_ids": bool(self.doc_rows),
            "ids_sha256": self.ids.hexdigest(),
            "text_sha256": self.texts.hexdigest(),
        }

    def _refuse_duplicates(self, order: Array) -> None:
        hashes = np.frombuffer(self.id_hashes, np.uint64)[order]
        same = np.flatnonzero(hashes[1:] == hashes[:-1])
        for first, second in sorted((int(order[i]), int(order[i + 1])) for i in same):
            ids = [self._passage(row).id for row in (first, second)]
            if ids[0] == ids[1]:
                problem = f"also the id of line {self._line(first)}"
                raise DataError(problem, path=self.name, line=self._line(second), field="id", value=ids[0])

    def _passage(self, row: int) -> Passage:
        return parse_record(
            self._bytes(self.offsets[row], self.offsets[row + 1]), self.columns, Location(self.name, row)
        )

    def _line(self, row: int) -> int:
        return 1 + self._bytes(0, self.offsets[row]).count(b"\n")

    def _bytes(self, start: int, stop: int) -> bytes:
        with open(self.file, "rb") as stream:
            stream.seek(start)
            return stream.read(stop - start)


def _rising(hashes: array[int]) -> Array:
    """The rows in the order of their hashes, equal ones as they come."""
    return np.argsort(np.frombuffer(hashes, np.uint64), kind="stable")
