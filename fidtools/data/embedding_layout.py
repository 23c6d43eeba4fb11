"""The files of one set of embeddings, finished and while they are being written."""

from __future__ import annotations

import hashlib
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from fidtools.data.files import PathLike, replace_file, sync
from fidtools.data.hashes import file_sha256
from fidtools.data.jsonl import kept_object, write_json
from fidtools.data.outputs import final_path, keep_attributes
from fidtools.data.vector_type import VectorType
from fidtools.errors import DataError, UsageError, named_when_full
from fidtools.typing import Array

SAMPLE = "sample_sha256"
"""In `X.json`: the hash of some rows of `X.npy`, known only when all are written. Another array is noticed by it."""
SAMPLE_ROWS = 64


@dataclass(frozen=True)
class EmbeddingFiles:
    """The paths of one set of embeddings."""

    vectors: Path
    ids: Path
    meta: Path

    @classmethod
    def at(cls, path: PathLike) -> EmbeddingFiles:
        """The three files of `X.npy`. Raises UsageError for a path that does not end in .npy."""
        if Path(path).suffix != ".npy":
            raise UsageError(f"embeddings are written to a .npy file, not to {path}")
        vectors = Path(path)
        return cls(vectors, vectors.with_suffix(".ids"), vectors.with_suffix(".json"))

    @classmethod
    def to_write(cls, path: PathLike) -> EmbeddingFiles:
        """The same, each where its links lead, so that they are written on the disk that they are on."""
        files = cls.at(path)
        return cls(final_path(files.vectors), final_path(files.ids), final_path(files.meta))

    def partial(self) -> EmbeddingFiles:
        """The same files while they are unfinished."""
        return EmbeddingFiles(*(p.with_name(f".{p.name}.partial") for p in (self.vectors, self.ids, self.meta)))

    @property
    def done(self) -> Path:
        """One byte per row, 1 once the row is written."""
        return self.vectors.with_name(f".{self.vectors.name}.done")

    def remove(self) -> None:
        """Delete those files that exist."""
        for path in (self.vectors, self.ids, self.meta):
            path.unlink(missing_ok=True)

    def refuse_foreign(self) -> None:
        """Raise UsageError when `X.ids` or `X.json` exists and belongs to no embeddings.

        Raises IsADirectoryError when one of the files is a folder.
        """
        for path in (self.vectors, self.ids, self.meta):
            if path.is_dir():
                raise IsADirectoryError(21, "Is a directory", str(path))
        records = [found for path in (self.meta, self.partial().meta) if (found := _embeddings_record(path))]
        hint = "name another output, or move it away"
        if self.meta.exists() and not _embeddings_record(self.meta):
            raise UsageError(f"{self.meta} already exists and does not describe embeddings", hint=hint)
        if self.ids.exists() and file_sha256(self.ids) not in {record["ids_sha256"] for record in records}:
            raise UsageError(f"{self.ids} already exists and does not hold the ids of embeddings", hint=hint)

    def publish(self, meta: dict[str, Any]) -> None:
        """Rename the finished files; the vectors come last, so that whoever sees them finds the others.

        Until then the unfinished record says to whom the renamed files belong, if this process is killed.
        """
        partial = self.partial()
        if meta["rows"]:
            meta = meta | {SAMPLE: sample_sha256(np.load(partial.vectors, mmap_mode="r", allow_pickle=False))}
        write_json(partial.meta, meta)
        sync(partial.vectors)
        keep_attributes(self.vectors, partial.vectors)
        self.vectors.unlink(missing_ok=True)
        replace_file(partial.ids, self.ids)
        write_json(self.meta, meta)
        os.replace(partial.vectors, self.vectors)
        self.clean_up()

    def named_when_full(self) -> AbstractContextManager[None]:
        """A block that writes the unfinished files: an error for want of room names the vectors."""
        partial = self.partial()
        return named_when_full(self.vectors, partial.vectors, partial.ids, partial.meta)

    def clean_up(self) -> None:
        """Remove all that is unfinished."""
        self.partial().remove()
        self.done.unlink(missing_ok=True)

    def finished_record(self) -> dict[str, Any]:
        """The record of finished embeddings; empty when they are not whole."""
        record = _embeddings_record(self.meta)
        is_whole = (
            record and self.vectors.exists() and self.ids.exists() and file_sha256(self.ids) == record["ids_sha256"]
        )
        return record if is_whole else {}

    def recorded_ranges(self) -> Any:
        """The `ranges` of int8 that an unfinished run has recorded, or else a finished one; None without."""
        records = map(_embeddings_record, (self.partial().meta, self.meta))
        return next((record["ranges"] for record in records if "ranges" in record), None)


def sample_sha256(vectors: Array) -> str:
    """The hash of at most SAMPLE_ROWS rows at equal distances, the first and the last among them."""
    rows = np.unique(np.linspace(0, len(vectors) - 1, SAMPLE_ROWS).astype(np.int64))
    return hashlib.sha256(vectors[rows].tobytes()).hexdigest()


def embeddings_record(meta: dict[str, Any], rows: int, kind: VectorType, ids_sha256: str) -> dict[str, Any]:
    """What `X.json` says: `meta` of the encoder and the texts, the shape, the type, and the hash of the ids."""
    return meta | {"rows": rows} | kind.meta() | {"ids_sha256": ids_sha256}


def _embeddings_record(path: Path) -> dict[str, Any]:
    """The object in `X.json`; empty when there is none, or one that does not describe embeddings."""
    found = kept_object(path)
    return found if {"rows", "dim", "ids_sha256"} <= found.keys() else {}


class IdsFile:
    """An .ids file being written; `sha256` is of all its lines so far, `count` how many there are."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.sha256, self.count = hashlib.sha256(), 0

    def __enter__(self) -> Self:
        self._file = open(self._path, "wb")
        return self

    def write(self, identifier: str) -> None:
        """Add a line. Raises DataError for an id with a line break."""
        if "\n" in identifier or "\r" in identifier:
            raise DataError("an id must not contain a line break", value=identifier)
        line = identifier.encode() + b"\n"
        self._file.write(line)
        self.sha256.update(line)
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self._file.close()
