"""Vectors to search, read by position: from files without mapping them, or from an array."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fidtools.data.embeddings import Embeddings
from fidtools.data.vector_type import VectorType
from fidtools.typing import Array

MAX_SPAN_FACTOR = 8  # rows that lie this close on average are read in one go, with all that is between them


class Vectors(Protocol):
    """n vectors of d numbers; a row is the number of a vector, from 0."""

    @property
    def shape(self) -> tuple[int, int]:
        """n and d."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        ...

    def read(self, start: int, stop: int, out: Array | None = None) -> Array:
        """Rows start … stop-1 as they are stored (m × d); in `out` (of `dtype`, at least m × d) where they are copied.

        New memory costs more than the copy itself, so who reads block after block gives the same `out` again.
        """
        ...

    def take(self, rows: Array) -> Array:
        """The given rows, which must ascend (m × d)."""
        ...


def vector_blocks(vectors: Vectors, size: int) -> Iterator[tuple[int, Array]]:
    """All vectors, `size` at a time: the row of the first, and the vectors as they are stored.

    A block is valid until the next one is asked for.
    """
    rows, dim = vectors.shape
    out = np.empty((min(size, rows), dim), vectors.dtype)
    for start in range(0, rows, size):
        yield start, vectors.read(start, min(start + size, rows), out)


class ArrayVectors:
    """Vectors in memory (or a memory map)."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.shape = (len(array), array.shape[1])
        self.dtype = array.dtype

    def read(self, start: int, stop: int, out: Array | None = None) -> Array:
        """See `Vectors`."""
        return np.ascontiguousarray(self.array[start:stop])

    def take(self, rows: Array) -> Array:
        """See `Vectors`."""
        return np.ascontiguousarray(self.array[rows])


def float_vectors(embeddings: Embeddings) -> Vectors:
    """The rows of one .npy file as floats. Those of an array in Fortran order are gathered from a memory map of it."""
    mapped = embeddings.vectors
    stored = FileVectors(embeddings.path) if mapped.flags.c_contiguous else ArrayVectors(mapped)
    return stored if embeddings.kind.is_float else DecodedVectors(stored, embeddings.kind)


class DecodedVectors:
    """The float vectors that int8 or binary ones stand for; only what is read is decoded."""

    def __init__(self, stored: Vectors, kind: VectorType) -> None:
        self._stored, self._kind = stored, kind
        self.shape = (stored.shape[0], kind.dim)
        self.dtype = np.dtype(np.float32)

    def read(self, start: int, stop: int, out: Array | None = None) -> Array:
        """See `Vectors`."""
        return self._kind.decode(self._stored.read(start, stop))

    def take(self, rows: Array) -> Array:
        """See `Vectors`."""
        return self._kind.decode(self._stored.take(rows))


class FileVectors:
    """The rows of one .npy file in C order, read into buffers: memory is what the caller holds and nothing else."""

    def __init__(self, path: str | Path) -> None:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        self.shape = (int(mapped.shape[0]), int(mapped.shape[1]))
        self.dtype, self._start = mapped.dtype, mapped.offset
        self._row_bytes = self.shape[1] * mapped.dtype.itemsize
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - lives as long as the object

    def read(self, start: int, stop: int, out: Array | None = None) -> Array:
        """See `Vectors`."""
        if out is None or out.dtype != self.dtype:
            out = np.empty((stop - start, self.shape[1]), self.dtype)
        block = out[: stop - start]
        self._fill(block, start)
        return block

    def take(self, rows: Array) -> Array:
        """See `Vectors`."""
        if len(rows) * MAX_SPAN_FACTOR > int(rows[-1]) - int(rows[0]):
            near: Array = self.read(int(rows[0]), int(rows[-1]) + 1)[rows - rows[0]]
            return near
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        for place, row in enumerate(rows.tolist()):
            self._fill(found[place : place + 1], row)
        return found

    def _fill(self, block: Array, row: int) -> None:
        view, offset = memoryview(block.data).cast("B"), self._start + row * self._row_bytes
        while view:
            done = os.preadv(self._file.fileno(), [view], offset)
            if not done:
                raise EOFError(f"{self._file.name} was truncated while it was being searched")
            view, offset = view[done:], offset + done


class ConcatenatedVectors:
    """Several sets of vectors one after the other (the shards of one set of embeddings)."""

    def __init__(self, parts: Sequence[Vectors]) -> None:
        self.parts = parts
        self._bounds = np.cumsum([0, *(part.shape[0] for part in parts)])
        self.shape = (int(self._bounds[-1]), parts[0].shape[1])
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def read(self, start: int, stop: int, out: Array | None = None) -> Array:
        """See `Vectors`."""
        pieces = []
        for part, begin, end in zip(self.parts, self._bounds, self._bounds[1:], strict=False):
            low, high = max(start, int(begin)), min(stop, int(end))
            if low < high:
                inside = low == start and high == stop
                pieces.append(part.read(low - int(begin), high - int(begin), out if inside else None))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def take(self, rows: Array) -> Array:
        """See `Vectors`."""
        cuts = np.searchsorted(rows, self._bounds)
        pieces = [
            part.take(rows[low:high] - begin)
            for part, begin, low, high in zip(self.parts, self._bounds, cuts, cuts[1:], strict=False)
            if low < high
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


class SelectedVectors:
    """Some rows of other vectors, ascending, as vectors of their own."""

    def __init__(self, vectors: Vectors, rows: Array) -> None:
        self._vectors, self.rows = vectors, rows
        self.shape = (len(rows), vectors.shape[1])
        self.dtype = vectors.dtype

    def read(self, start: int, stop: int, out: Array | None = None) -> Array:
        """See `Vectors`."""
        return self._vectors.take(self.rows[start:stop])

    def take(self, rows: Array) -> Array:
        """See `Vectors`."""
        return self._vectors.take(self.rows[rows])


class SlicedVectors:
    """Consecutive rows of other vectors, as vectors of their own."""

    def __init__(self, vectors: Vectors, start: int, stop: int) -> None:
        self._vectors, self._start = vectors, start
        self.shape = (stop - start, vectors.shape[1])
        self.dtype = vectors.dtype

    def read(self, start: int, stop: int, out: Array | None = None) -> Array:
        """See `Vectors`."""
        return self._vectors.read(self._start + start, self._start + stop, out)

    def take(self, rows: Array) -> Array:
        """See `Vectors`."""
        return self._vectors.take(self._start + rows)
