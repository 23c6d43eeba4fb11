"""The files of one set of embeddings, finished and while they are being written."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from fidtools.data.files import PathLike, sync
from fidtools.data.jsonl import write_json
from fidtools.errors import DataError, UsageError

DTYPES = ("float32", "float16")


def checked_dtype(name: str) -> np.dtype[Any]:
    """The type of that name. Raises UsageError for one that embeddings cannot have."""
    if name not in DTYPES:
        raise UsageError(f"embeddings are float32 or float16, not {name}")
    return np.dtype(name)


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

    def refuse_folder(self) -> None:
        """Raise IsADirectoryError when `X.npy` is a folder."""
        if self.vectors.is_dir():
            raise IsADirectoryError(21, "Is a directory", str(self.vectors))

    def publish(self, meta: dict[str, Any]) -> None:
        """Rename the finished files; the vectors come last, so that whoever sees them finds the others."""
        partial = self.partial()
        sync(partial.ids)
        sync(partial.vectors)
        self.vectors.unlink(missing_ok=True)
        os.replace(partial.ids, self.ids)
        write_json(self.meta, meta)
        os.replace(partial.vectors, self.vectors)
        partial.meta.unlink(missing_ok=True)
        self.done.unlink(missing_ok=True)


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
