"""The one pass over a corpus that checks every passage and notes where it is: how `<passages>.rows/` is made."""

from __future__ import annotations

import csv
import hashlib
from array import array
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.data.corpus_rows import FORMAT, RowFiles, Source, hashed_text, parse_row, text_hash
from fidtools.data.dpr_tsv import MAX_FIELD_CHARACTERS, header_columns, table_passages, table_records
from fidtools.data.files import PathLike
from fidtools.data.hashes import file_sha256
from fidtools.data.json_structure import BYTE_ORDER_MARK
from fidtools.data.jsonl import bounded_lines, parse_line, write_json
from fidtools.data.read import expecting
from fidtools.data.record_parsing import parse_corpus_passage
from fidtools.data.records import Location, Passage
from fidtools.errors import DataError, nonempty
from fidtools.logs import track
from fidtools.typing import Array


def scan_corpus(name: PathLike, file: Path, files: RowFiles, source: Source) -> None:
    """Fill the folder `files` from the passages of `file`, which messages call `name`.

    Holds about 40 bytes per passage in memory. Raises DataError for a malformed passage, and for two passages of one
    id with both their lines.
    """
    scan = _Scan(name, file)
    with open(files.ids, "wb") as ids:
        scan.run(ids)
    scan.save(files, source)


class _Scan:
    """What a pass over the corpus has found so far."""

    def __init__(self, name: PathLike, file: Path) -> None:
        self.name, self.file = name, file
        self.columns = [0, 1, 2] if file.suffix == ".tsv" else None  # None: JSON lines
        self.offsets, self.id_hashes = array("q"), array("Q")
        self.doc_hashes, self.doc_rows = array("Q"), array("q")
        self.ids_sha256, self.text_sha256 = hashlib.sha256(), hashlib.sha256()

    def run(self, ids: Any) -> None:
        """Read the passages, and write their ids to the open file `ids`."""
        with open(self.file, "rb") as stream:
            passages = self._lines(stream) if self.columns is None else self._table(stream)
            passages = expecting("passages", passages, self.name)
            for row, (offset, passage) in enumerate(track(passages, "passages read")):
                ids.write(self._note(row, offset, passage))
        self.offsets.append(self.file.stat().st_size)

    def _lines(self, stream: BufferedReader) -> Iterator[tuple[int, Passage]]:
        """Every passage of JSON lines with the byte at which it begins."""
        yield from nonempty(self._json_lines(stream), "passages", self.name)

    def _json_lines(self, stream: BufferedReader) -> Iterator[tuple[int, Passage]]:
        offset = len(BYTE_ORDER_MARK) if stream.peek(3)[:3] == BYTE_ORDER_MARK else 0
        stream.seek(offset)
        for number, line in enumerate(bounded_lines(stream, self.name), 1):
            if line.strip():
                record = parse_line(line, self.name, number)
                yield offset, parse_corpus_passage(record, Location(self.name, number))
            offset += len(line)

    def _table(self, stream: BufferedReader) -> Iterator[tuple[int, Passage]]:
        """Every passage of a DPR table with the byte at which it begins."""
        for _, passage in table_passages(self._records(stream), self.name):
            yield self._begin, passage

    def _records(self, stream: BufferedReader) -> Iterator[tuple[int, list[str]]]:
        """The records of a table with their lines. `_begin` is the byte at which the last one begins.

        A quoted field may hold line breaks, so only the csv reader knows where a record ends. It takes exactly the
        lines of one record before it returns it, so the end of those is where the next record begins (or blank lines).
        """
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
        first = end = len(BYTE_ORDER_MARK) if stream.peek(3)[:3] == BYTE_ORDER_MARK else 0
        stream.seek(first)

        def lines() -> Iterator[str]:
            nonlocal end
            for line in bounded_lines(stream, self.name):
                end += len(line)
                yield line.decode()

        self._begin, is_first = first, True
        for line, record in table_records(lines()):
            if is_first:
                self.columns, is_first = header_columns(record) or self.columns, False
            yield line, record
            self._begin = end

    def _note(self, row: int, offset: int, passage: Passage) -> bytes:
        """Keep what is needed of a passage; returns its line of the ids file."""
        identifier = str(passage.id)
        self.offsets.append(offset)
        if "\n" in identifier or "\r" in identifier:
            problem = "must not contain a line break"
            raise DataError(problem, path=self.name, line=self._line(row), field="id", value=identifier)
        line = identifier.encode() + b"\n"
        self.id_hashes.append(text_hash(identifier))
        self.ids_sha256.update(line)
        self.text_sha256.update(hashed_text(passage))
        if passage.doc_id is not None:
            self.doc_hashes.append(text_hash(passage.doc_id))
            self.doc_rows.append(row)
        return line

    def save(self, files: RowFiles, source: Source) -> None:
        """Write what was found. Raises DataError for two passages of one id, with both lines."""
        order = _ascending(self.id_hashes)
        self._refuse_duplicates(order)
        files.save("offsets", np.frombuffer(self.offsets, np.int64))
        files.save("id_hashes", np.frombuffer(self.id_hashes, np.uint64)[order])
        files.save("id_rows", order)
        if self.doc_rows:
            order = _ascending(self.doc_hashes)
            files.save("doc_hashes", np.frombuffer(self.doc_hashes, np.uint64)[order])
            files.save("doc_rows", np.frombuffer(self.doc_rows, np.int64)[order])
        write_json(files.folder / "meta.json", self._meta(source))

    def _meta(self, source: Source) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "source": source.state,
            "source_sha256": None if source.path is None else file_sha256(source.path),
            "rows": len(self.id_hashes),
            "columns": self.columns,
            "has_doc_ids": bool(self.doc_rows),
            "ids_sha256": self.ids_sha256.hexdigest(),
            "text_sha256": self.text_sha256.hexdigest(),
        }

    def _refuse_duplicates(self, order: Array) -> None:
        """Compare the ids where two hashes are equal; different ids may have one hash."""
        hashes = np.frombuffer(self.id_hashes, np.uint64)[order]
        same = np.flatnonzero(hashes[1:] == hashes[:-1])
        for first, second in sorted((int(order[i]), int(order[i + 1])) for i in same):
            ids = [self._passage(row).id for row in (first, second)]
            if ids[0] == ids[1]:
                problem = f"also the id of line {self._line(first)}"
                raise DataError(problem, path=self.name, line=self._line(second), field="id", value=ids[0])

    def _passage(self, row: int) -> Passage:
        raw = self._bytes(self.offsets[row], self.offsets[row + 1])
        return parse_row(raw, self.columns, Location(self.name, row))

    def _line(self, row: int) -> int:
        return 1 + self._bytes(0, self.offsets[row]).count(b"\n")

    def _bytes(self, start: int, stop: int) -> bytes:
        with open(self.file, "rb") as stream:
            stream.seek(start)
            return stream.read(stop - start)


def _ascending(hashes: array[int]) -> Array:
    """The rows in the order of their hashes, equal ones in the order of the corpus."""
    return np.argsort(np.frombuffer(hashes, np.uint64), kind="stable")
