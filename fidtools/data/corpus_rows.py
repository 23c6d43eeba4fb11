"""The folder `<passages>.rows/`: where in a corpus file each passage is, and which ids and documents they have.

A row is the position of a passage in its corpus, from 0.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson

from fidtools.data.dpr_tsv import table_passage, table_records
from fidtools.data.hashes import file_sha256
from fidtools.data.jsonl import kept_object, parse_line, write_json
from fidtools.data.outputs import FolderKind
from fidtools.data.record_parsing import parse_passage
from fidtools.data.records import Location, Passage
from fidtools.errors import DataError
from fidtools.typing import Array

FORMAT = 3  # 1 had no passages.ids, 2 no hash of the source
FIELDS = {"source": dict, "rows": int, "ids_sha256": str, "text_sha256": str, "has_doc_ids": bool}
IDS_BLOCK_BYTES = 1 << 20
KIND = FolderKind(
    "an index of passages", (), ("meta.json", "passages.ids", "passages.jsonl", "*s.npy"), has_force=False
)


@dataclass(frozen=True)
class Source:
    """The file that a corpus is read from, None for standard input, and its size, times and inode."""

    path: Path | None
    state: dict[str, int]

    @classmethod
    def of(cls, path: Path) -> Source:
        """The file as it is now."""
        found = path.stat()
        names = {"size": "st_size", "mtime_ns": "st_mtime_ns", "ctime_ns": "st_ctime_ns", "inode": "st_ino"}
        return cls(path, {name: getattr(found, field) for name, field in names.items()})


@dataclass(frozen=True)
class RowFiles:
    """The files of the folder.

    `offsets.npy`: the byte at which each row begins, and the end of the last. `id_hashes.npy`: hashes of the ids,
    ascending, with their rows in `id_rows.npy`; the same for documents in `doc_….npy`. `passages.ids`: the ids, one a
    line. `passages.jsonl`: a copy of the passages, when the original cannot be read from the middle. `meta.json`: what
    the folder was made from.
    """

    folder: Path

    @property
    def copy(self) -> Path:
        """The passages as plain lines."""
        return self.folder / "passages.jsonl"

    @property
    def ids(self) -> Path:
        """The ids in order, one a line."""
        return self.folder / "passages.ids"

    def save(self, name: str, values: Array) -> None:
        """Write one of the arrays."""
        with open(self.folder / f"{name}.npy", "wb") as out:
            to: Any = SimpleNamespace(write=out.write)  # into a file of its own, numpy loses the system's error
            np.save(to, values)

    def load(self, name: str, length: int | None = None) -> Array:
        """One of the arrays, memory-mapped. Raises DataError when the file is damaged or has another length."""
        file = f"{name}.npy"
        try:
            found: Array = np.load(self.folder / file, mmap_mode="r")
        except Exception as error:  # the header is Python, whose tokenizer and parser raise errors of their own
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise self.damaged(file) from error
        if found.ndim != 1 or found.dtype.kind not in "iu" or (length is not None and len(found) != length):
            raise self.damaged(file)
        return found

    def damaged(self, file: str) -> DataError:
        """The error for a file that is not as it was written."""
        hint = f"remove {self.folder}: it is made again"
        return DataError("the index of the passages is damaged", path=self.folder / file, hint=hint)

    def map_ids(self) -> Array:
        """The bytes of the ids, memory-mapped. Raises DataError when there are none."""
        if not self.ids.stat().st_size:
            raise self.damaged(self.ids.name)
        return np.memmap(self.ids, dtype=np.uint8, mode="r")

    def meta(self) -> dict[str, Any]:
        """What is known of the corpus; empty when there is nothing yet, or of another format."""
        found = kept_object(self.folder / "meta.json")
        is_known = found.get("format") == FORMAT
        return found if is_known and all(isinstance(found.get(name), kind) for name, kind in FIELDS.items()) else {}

    def is_valid(self, source: Source) -> bool:
        """Whether the folder was made from the file as it is now.

        Size, times and inode need no reading. Where the size is the same and another of them differs (the file was
        copied, touched, or replaced by another one), the content is compared by its hash, and the folder is kept for
        the file's new state. Not seen: a change after which somebody sets the clock back to the same nanosecond.
        """
        meta = self.meta()
        if meta.get("source") == source.state:
            return True
        if not meta or source.path is None or meta["source"].get("size") != source.state["size"]:
            return False
        if meta.get("source_sha256") != file_sha256(source.path):
            return False
        with contextlib.suppress(OSError):  # a folder that cannot be written: compared again the next time
            write_json(self.folder / "meta.json", meta | {"source": source.state})
        return True


def text_hash(text: str) -> int:
    """A 64-bit hash of a string, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def hashed_text(passage: Passage) -> bytes:
    """What of a passage enters `text_sha256`: id, title, text and doc_id."""
    return orjson.dumps([str(passage.id), passage.title, passage.text, passage.doc_id])


def parse_row(raw: bytes, columns: list[int] | None, where: Location) -> Passage:
    """The passage in the bytes of one row: a record of a table with these `columns`, or (None) a line of JSON."""
    if columns is None:
        return parse_passage(parse_line(raw, where.path, where.line), where)
    _, record = next(table_records(StringIO(raw.decode(), newline="\n")))
    return table_passage(record, columns, where.path, where.line)


def split_lines(raw: Array) -> Iterator[str]:
    """The lines of mapped bytes, each of which ends with a line break."""
    rest = b""
    for start in range(0, len(raw), IDS_BLOCK_BYTES):
        *lines, rest = (rest + raw[start : start + IDS_BLOCK_BYTES].tobytes()).split(b"\n")
        yield from (line.decode() for line in lines)
