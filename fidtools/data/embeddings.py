"""Embeddings on disk: `X.npy` (n × d), `X.ids` (line i names row i), `X.json` (encoder, rows, dim, dtype, ids' hash).

A set of shards (`X.00000.npy`, `X.00001.npy`, …, each with its own .ids and .json) is read under the name `X.npy`.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.data.embedding_layout import SAMPLE, EmbeddingFiles, sample_sha256
from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json_object
from fidtools.data.vector_type import VectorType, recorded_type
from fidtools.errors import DataError, MismatchError
from fidtools.typing import Array

IDS_BLOCK_BYTES = 1 << 24
ARRAY_TYPES = ("float32", "float16", "int8", "uint8")
"""Of the .npy file; uint8 holds eight bits."""
HOW_TO_MAKE = (
    "fidtools embed makes X.npy with X.ids and X.json; fidtools convert makes them of a pickled (ids, array), or of"
    " Parquet with columns of ids and of lists of floats"
)


class IdList(Sequence[str]):
    """The lines of an .ids file, decoded when asked for; `sha256` is of the whole file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        raw: Array = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else np.empty(0, np.uint8)
        ends = [
            np.flatnonzero(raw[start : start + IDS_BLOCK_BYTES] == ord("\n")) + start + 1
            for start in range(0, len(raw), IDS_BLOCK_BYTES)
        ]
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
    """Embeddings opened for reading: `vectors` is a read-only memory map of the n rows as they are stored."""

    path: Path
    vectors: Array
    ids: IdList
    meta: dict[str, Any]
    kind: VectorType

    @property
    def rows(self) -> int:
        """How many vectors there are."""
        return int(self.vectors.shape[0])

    @property
    def dim(self) -> int:
        """The length of each."""
        return self.kind.dim

    @property
    def encoder(self) -> dict[str, Any] | None:
        """The fingerprint of the encoder of the passages, where it is on record."""
        return recorded_encoder(self.meta)

    @property
    def normalized(self) -> bool:
        """Whether the encoder brings its vectors to norm 1."""
        return bool(encoder_setting(self.meta, "normalize"))

    def decoded(self, rows: Any = slice(None)) -> Array:
        """Some rows, or all of them, as float32 (m × d)."""
        return np.ascontiguousarray(self.kind.decode(self.vectors[rows]), np.float32)


def read_embeddings(path: PathLike) -> Embeddings:
    """Open the three files of `X.npy` without loading them into memory.

    Raises MismatchError, naming both sides, when the vectors are truncated or the files do not belong together, and
    DataError for an array alone, such as numpy writes.
    """
    files = EmbeddingFiles.at(path)
    vectors = _map_vectors(files.vectors)
    if missing := [file.name for file in (files.ids, files.meta) if not file.exists()]:
        raise DataError(f"{' and '.join(missing)}, which belong to it, are not beside it", path=path, hint=HOW_TO_MAKE)
    meta = read_json_object(files.meta)
    ids = IdList(files.ids)
    if vectors.shape[0] != meta.get("rows"):
        problem = f"{vectors.shape[0]} rows, but {files.meta} says {meta.get('rows')}"
        raise MismatchError(problem, path=files.vectors)
    kind = recorded_type(meta, vectors, files.vectors, files.meta)
    if len(ids) != vectors.shape[0] or ids.sha256 != meta.get("ids_sha256"):
        hint = "embed again"
        raise MismatchError(f"its {len(ids)} ids do not match the hash in {files.meta}", path=files.ids, hint=hint)
    if meta.get(SAMPLE) not in (None, sample_sha256(vectors)):
        hint = f"embed again; where they were changed on purpose, remove {SAMPLE} from {files.meta}"
        raise MismatchError(f"not the vectors that {files.meta} describes", path=files.vectors, hint=hint)
    return Embeddings(files.vectors, vectors, ids, meta, kind)


def _map_vectors(path: Path) -> Array:
    size = path.stat().st_size
    try:
        vectors: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the header is Python, whose tokenizer and parser raise errors of their own
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise MismatchError(f"truncated or corrupt .npy file ({size} bytes): {error}", path=path) from error
    if vectors.ndim != 2 or str(vectors.dtype) not in ARRAY_TYPES:
        raise DataError(
            f"expected a two-dimensional array of {', '.join(ARRAY_TYPES)}, found {vectors.dtype} {vectors.shape}",
            path=path,
            hint=HOW_TO_MAKE,
        )
    if not all(vectors.shape):
        raise DataError(f"contains no vectors: its shape is {vectors.shape}", path=path)
    return vectors


def read_parts(path: PathLike) -> list[Embeddings]:
    """`X.npy` or its shards, opened. Raises MismatchError when their vectors differ in length, type or encoder."""
    parts = [read_embeddings(part) for part in shards(path)]
    for part in parts:
        if part.dim != parts[0].dim:
            raise MismatchError(f"vectors of length {part.dim}, but {parts[0].path} has {parts[0].dim}", path=part.path)
        if part.kind.name != parts[0].kind.name:
            problem = f"{part.kind.name} vectors, but {parts[0].path} has {parts[0].kind.name}"
            raise MismatchError(problem, path=part.path)
        if names := different_encoders(part.encoder, parts[0].encoder):
            problem = f"written by another encoder than {parts[0].path}: they differ in {', '.join(names)}"
            raise MismatchError(problem, path=part.path, hint="embed all shards with one retriever")
    return parts


def recorded_encoder(meta: dict[str, Any]) -> dict[str, Any] | None:
    """The fingerprint of the encoder that made vectors, from their `X.json`; None where it is not on record."""
    encoder = meta.get("encoder")
    return encoder if isinstance(encoder, dict) else None


def encoder_setting(meta: dict[str, Any], name: str) -> Any:
    """A setting of the encoder that made vectors, from their `X.json`; None where it is not on record."""
    return (recorded_encoder(meta) or {}).get(name)


def different_encoders(one: dict[str, Any] | None, other: dict[str, Any] | None) -> list[str]:
    """The names of what differs between two encoders; none where one of them is not on record."""
    if one is None or other is None:
        return []
    return [name for name in dict.fromkeys([*other, *one]) if one.get(name) != other.get(name)]


def text_hashes(parts: Sequence[Embeddings]) -> list[tuple[int, str | None]]:
    """How many rows each part has, and the hash of the passages that they were made from, where it is on record."""
    return [(part.rows, part.meta.get("text_sha256")) for part in parts]


def shards(path: PathLike) -> list[Path]:
    """The files that make up `X.npy`: itself, or the shards `X.00000.npy`, `X.00001.npy`, … in order.

    Raises FileNotFoundError when there are none, MismatchError when one is missing in between.
    """
    whole = EmbeddingFiles.at(path).vectors
    if whole.exists():
        return [whole]
    found = sorted(whole.parent.glob(f"{glob.escape(whole.stem)}.[0-9][0-9][0-9][0-9][0-9].npy"))
    if not found:
        raise FileNotFoundError(2, "No such file or directory", str(whole))
    for number, part in enumerate(found):
        if part.name != (expected := f"{whole.stem}.{number:05d}.npy"):
            raise MismatchError(f"the shard {expected} is missing", path=whole)
    return found
