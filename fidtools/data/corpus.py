"""A corpus of passages, read by row, by id or by document without holding it in memory.

The first opening reads the whole file, checks every passage, and keeps where each begins in `<passages>.rows/`; later
openings use that folder as long as the file is the same, by its size, times and inode or else by its hash.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fidtools.data.corpus_rows import KIND, RowFiles, Source, hashed_text, parse_row, split_lines, text_hash
from fidtools.data.corpus_scan import scan_corpus
from fidtools.data.files import STANDARD, PathLike, atomic_folder, open_input
from fidtools.data.gzip_names import is_gzip
from fidtools.data.hashes import file_sha256
from fidtools.data.jsonl import write_lines
from fidtools.data.locks import clear_lock, exclusive
from fidtools.data.pipes import is_pipe, temporary_folder
from fidtools.data.read import read_passages
from fidtools.data.records import Location, Passage
from fidtools.errors import DataError
from fidtools.logs import log
from fidtools.typing import Array


class Corpus:
    """Passages of a corpus by row (`passages[3]`, from 0), by id (`row_of`) and by document (`rows_within`).

    `ids_sha256` is the hash of the ids, one a line (as in an .ids file); `text_sha256` covers id, title, text and
    doc_id of all passages.
    """

    def __init__(self, path: PathLike, files: RowFiles) -> None:
        self.path = path
        meta = files.meta()
        self._count: int = meta["rows"]
        self.ids_sha256: str = meta["ids_sha256"]
        self.text_sha256: str = meta["text_sha256"]
        self.has_doc_ids: bool = meta["has_doc_ids"]
        self._columns: list[int] | None = meta["columns"]
        self._files, self._offsets, self._ids = files, files.load("offsets", self._count + 1), files.map_ids()
        self._id_hashes, self._id_rows = (files.load(name, self._count) for name in ("id_hashes", "id_rows"))
        if self.has_doc_ids:
            self._doc_hashes = files.load("doc_hashes")
            self._doc_rows = files.load("doc_rows", len(self._doc_hashes))
        self._file = open(files.copy if files.copy.exists() else path, "rb", buffering=0)  # noqa: SIM115
        self._state, self._sha256 = self._state_now(), meta.get("source_sha256")
        self._bytes = self._state[0]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> Passage:
        row = range(self._count)[row]
        start, stop = int(self._offsets[row]), int(self._offsets[row + 1])
        if not 0 <= start <= stop <= int(self._offsets[-1]) <= self._bytes:
            raise self._files.damaged("offsets.npy")
        raw = os.pread(self._file.fileno(), stop - start, start)
        self._refuse_changed()
        return parse_row(raw, self._columns, Location(self.path, row + 1))

    def _state_now(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    def _refuse_changed(self) -> None:
        """Raise DataError when the open file was edited in place; the same bytes may be written again."""
        if (state := self._state_now()) == self._state:
            return
        if state[0] != self._bytes or file_sha256(Path(self.path)) != self._sha256:
            raise DataError("was changed while it was in use", path=self.path, hint="run the command again")
        self._state = state

    def __iter__(self) -> Iterator[Passage]:
        return (self[row] for row in range(self._count))

    def ids(self) -> Iterator[str]:
        """The ids of all passages in order, without reading the passages."""
        try:
            yield from split_lines(self._ids)
        except UnicodeDecodeError as error:
            raise self._files.damaged("passages.ids") from error

    def texts_sha256(self, start: int, stop: int) -> str:
        """The hash of passages start … stop-1, as a corpus of these alone would have it. Reads them."""
        if (start, stop) == (0, len(self)):
            return self.text_sha256
        digest = hashlib.sha256()
        for row in range(start, stop):
            digest.update(hashed_text(self[row]))
        return digest.hexdigest()

    def row_of(self, identifier: str) -> int | None:
        """The row of the passage with that id, or None."""
        wanted = text_hash(identifier)
        low, high = (int(np.searchsorted(self._id_hashes, wanted, side)) for side in ("left", "right"))
        rows = self._known("id_rows.npy", self._id_rows[low:high])
        return next((int(row) for row in rows if self[row].id == identifier), None)

    def rows_within(self, doc_id: str) -> Array:
        """The rows of one document's passages, ascending. Empty when there is no such document.

        Raises DataError when no passage has a doc_id.
        """
        if not self.has_doc_ids:
            raise DataError("no passage has this field", path=self.path, field="doc_id", hint="--within needs it")
        wanted = text_hash(doc_id)
        low, high = (int(np.searchsorted(self._doc_hashes, wanted, side)) for side in ("left", "right"))
        return self._known("doc_rows.npy", self._doc_rows[low:high])

    def _known(self, name: str, rows: Array) -> Array:
        """The rows that an array names. Raises DataError when it is damaged: when there are no such rows."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < self._count:
            raise self._files.damaged(name)
        return np.asarray(rows)


def open_passages(path: PathLike) -> Corpus:
    """Open a corpus (JSON lines or DPR's table, .gz or not, or `-`).

    Raises DataError with file and line for a malformed passage, and with both lines for two passages of one id.
    """
    if str(path) == STANDARD or is_pipe(path):
        name = hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:16]
        return _open_in(RowFiles(temporary_folder() / f"{name}.rows"), path, Source(None, {}))
    source = Source.of(Path(path))
    files = RowFiles(Path(f"{path}.rows"))
    if not files.is_valid(source) and not is_writable(files.folder.parent):
        log.info("%s is not writable; the index of its passages is rebuilt on every run", files.folder.parent)
        name = hashlib.sha256(str(Path(path).resolve()).encode(errors="surrogateescape")).hexdigest()[:16]
        files = RowFiles(temporary_folder() / name)
    return _open_in(files, path, source)


def is_writable(folder: Path) -> bool:
    """Whether files may be created there. A folder without any write permission is respected even by the superuser."""
    return bool(folder.stat().st_mode & 0o222) and os.access(folder, os.W_OK)


def _open_in(files: RowFiles, path: PathLike, source: Source) -> Corpus:
    if not files.is_valid(source):
        files.folder.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(files.folder, "reading the passages"):
            if not files.is_valid(source):  # another process may have built it while this one waited
                with atomic_folder(files.folder, KIND) as folder:
                    _build_from_one_version(RowFiles(folder), path, source)
    clear_lock(files.folder)
    return Corpus(path, files)


def _build_from_one_version(files: RowFiles, path: PathLike, source: Source) -> None:
    """Fill the folder, and once more where the file was touched, linked or written again meanwhile.

    Raises DataError when that happens again.
    """
    for _ in range(2):
        _build(files, path, source)
        if source.path is None or (now := Source.of(source.path)) == source:
            return
        log.info("%s: was changed while it was being read; reading it again", path)
        source = now
    raise DataError("was changed while it was being read", path=path, hint="run the command again")


def _build(files: RowFiles, path: PathLike, source: Source) -> None:
    """Fill the folder. What has no byte offsets (.gz, a JSON list, standard input) is copied to plain lines first."""
    if _cannot_seek(path):
        write_lines(files.copy, (passage.to_json() for passage in read_passages(path)))
        scan_corpus(path, files.copy, files, source)
    else:
        scan_corpus(path, Path(path), files, source)


def _cannot_seek(path: PathLike) -> bool:
    if str(path) == STANDARD or is_gzip(path) or is_pipe(path):
        return True
    with open_input(path) as stream:
        return stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"["
