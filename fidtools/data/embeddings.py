"""Embeddings on disk: `X.npy` (n × d), `X.ids` (line i names row i), `X.json` (encoder, rows, dim, dtype, ids' hash).

A set of shards (`X.00000.npy`, `X.00001.npy`, …, each a triple of its own) is read under the name `X.npy`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from fidtools.data.files import PathLike, sync
from fidtools.data.jsonl import write_json
from fidtools.errors import DataError, MismatchError, UsageError

DTYPES = ("float32", "float16")


Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class EmbeddingFiles:
    """Where the parts of one set of embeddings lie, finished and while they are being written."""

    vectors: Path
    ids: Path
    meta: Path

    @classmethod
    def at(cls, path: PathLike) -> EmbeddingFiles:
        """The triple of `X.npy`. Raises UsageError for a path that does not end in .npy."""
        if Path(path).suffix != ".npy":
            raise UsageError(f"embeddings are kept in a .npy file, not in {path}")
        vectors = Path(path)
        return cls(vectors, vectors.with_suffix(".ids"), vectors.with_suffix(".json"))

    def partial(self) -> EmbeddingFiles:
        """The same parts before they are finished."""
        return EmbeddingFiles(*(p.with_name(f".{p.name}.partial") for p in (self.vectors, self.ids, self.meta)))

    @property
    def done(self) -> Path:
        """One byte per row, 1 once the row is written."""
        return self.vectors.with_name(f".{self.vectors.name}.done")

    def remove(self) -> None:
        """Delete whatever parts are there."""
        for path in (self.vectors, self.ids, self.meta):
            path.unlink(missing_ok=True)

    def refuse_folder(self) -> None:
        """Raise IsADirectoryError when `X.npy` is a folder."""
        if self.vectors.is_dir():
            raise IsADirectoryError(21, "Is a directory", str(self.vectors))

    def publish(self, meta: dict[str, Any]) -> None:
        """Rename the finished parts; the vectors come last, so that whoever sees them sees all of it."""
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


class IdList(Sequence[str]):
    """The lines of an .ids file, read when asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        raw: Array = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else np.empty(0, np.uint8)
        ends = [np.flatnonzero(raw[i : i + (1 << 24)] == 10) + i + 1 for i in range(0, len(raw), 1 << 24)]
        self._bounds = np.concatenate([np.zeros(1, np.int64), *ends])
        self._raw = raw
        self.sha256 = hashlib.sha256(raw.data).hexdigest()

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        row = range(len(self))[row]
        return bytes(self._raw[self._bounds[row] : self._bounds[row + 1] - 1]).decode()


@dataclass(frozen=True)
class Embeddings:
    """Embeddings opened for reading: `vectors` is a read-only memory map of shape (n, d)."""

    path: Path
    vectors: Array
    ids: IdList
    meta: dict[str, Any]

    @property
    def rows(self) -> int:
        """How many vectors there are."""
        return int(self.vectors.shape[0])

    @property
    def dim(self) -> int:
        """The length of each."""
        return int(self.vectors.shape[1])


def checked_dtype(name: str) -> np.dtype[Any]:
    """The type of that name. Raises UsageError for one that embeddings cannot have."""
    if name not in DTYPES:
        raise UsageError(f"embeddings are float32 or float16, not {name}")
    return np.dtype(name)


def read_embeddings(path: PathLike) -> Embeddings:
    """Open the triple of `X.npy`, none of it in memory.

    Raises MismatchError, naming both sides, when the vectors are truncated or the parts do not belong together.
    """
    files = EmbeddingFiles.at(path)
    vectors = _map_vectors(files.vectors)
    meta = _read_meta(files.meta)
    ids = IdList(files.ids)
    _match(files, "rows", vectors.shape[0], meta.get("rows"))
    _match(files, "dim", vectors.shape[1], meta.get("dim"))
    if len(ids) != vectors.shape[0] or ids.sha256 != meta.get("ids_sha256"):
        hint = "write the embeddings again"
        raise MismatchError(
            f"its {len(ids)} ids are not those that {files.meta} was written with", path=files.ids, hint=hint
        )
    return Embeddings(files.vectors, vectors, ids, meta)


def _match(files: EmbeddingFiles, name: str, found: int, stated: object) -> None:
    if found != stated:
        raise MismatchError(f"{found} {name}, but {files.meta} says {stated}", path=files.vectors)


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"malformed JSON: {error}", path=path) from error
    if not isinstance(meta, dict):
        raise DataError("expected a JSON object", path=path, value=meta)
    return meta


def _map_vectors(path: Path) -> Array:
    size = path.stat().st_size
    try:
        vectors: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise MismatchError(f"not a whole .npy file ({size} bytes): {error}", path=path) from error
    if vectors.ndim != 2 or str(vectors.dtype) not in DTYPES:
        raise DataError(
            f"expected a float32 or float16 table of two dimensions, found {vectors.dtype} {vectors.shape}", path=path
        )
    return vectors


def shards(path: PathLike) -> list[Path]:
    """The files that make up `X.npy`: itself, or the shards `X.00000.npy`, `X.00001.npy`, … in order.

    Raises FileNotFoundError when there are none, MismatchError when one is missing in between.
    """
    whole = EmbeddingFiles.at(path).vectors
    if whole.exists():
        return [whole]
    found = sorted(whole.parent.glob(f"{whole.stem}.[0-9][0-9][0-9][0-9][0-9].npy"))
    if not found:
        raise FileNotFoundError(2, "No such file or directory", str(whole))
    for number, part in enumerate(found):
        if part.name != (expected := f"{whole.stem}.{number:05d}.npy"):
            raise MismatchError(f"the shard {expected} is missing", path=whole)
    return found
