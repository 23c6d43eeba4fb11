"""A .npy table of vectors that is filled in place, its rows in any order."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from fidtools.data.files import PathLike
from fidtools.data.vector_type import VectorType
from fidtools.errors import DataError
from fidtools.typing import Array


class VectorFile:
    """An existing .npy file opened for writing vectors of that type. Errors name `final`, which it will become."""

    def __init__(self, path: Path, kind: VectorType, final: PathLike) -> None:
        self.kind, self.final = kind, final
        self._first = len(npy_header(0, kind))
        self._file = os.open(path, os.O_RDWR)

    @classmethod
    def create(cls, path: Path, rows: int, kind: VectorType) -> None:
        """A file of `rows` vectors of zeros; the file system need not store them yet."""
        header = npy_header(rows, kind)
        with open(path, "wb") as out:
            out.write(header)
            out.truncate(len(header) + rows * kind.row_bytes)

    def write(self, start: int, vectors: Array) -> None:
        """Store float `vectors` (m × dim) as rows start … start+m-1.

        Raises DataError for numbers that are not finite, in `vectors` or in the type they are stored as.
        """
        kind = self.kind
        if vectors.ndim != 2 or vectors.shape[1] != kind.dim:
            raise ValueError(f"expected vectors of shape (m, {kind.dim}), got {vectors.shape}")
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise DataError("a vector with NaN or infinite numbers", path=self.final, field="row", value=row)
        stored = kind.encode(vectors)
        if not np.isfinite(stored).all():
            raise DataError(f"numbers too large for {kind.name}", path=self.final, hint="store them as float32")
        self._write_at(self._first + start * kind.row_bytes, stored.tobytes())

    def set_rows(self, rows: int) -> None:
        """Rewrite the header with the number of rows that a stream turned out to have."""
        self._write_at(0, npy_header(rows, self.kind))

    def _write_at(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:  # the system may write less than it was given
            written = os.pwrite(self._file, view, offset)
            view, offset = view[written:], offset + written

    def close(self, sync: bool = False) -> None:
        """Close the file, with `sync` only when all of it is on the disk."""
        if sync:
            os.fsync(self._file)
        os.close(self._file)


def npy_header(rows: int, kind: VectorType) -> bytes:
    """A .npy header; numpy pads it, so that its length does not depend on the number of rows."""
    out = BytesIO()
    fields = {"descr": npy.dtype_to_descr(kind.array_type), "fortran_order": False, "shape": (rows, kind.columns)}
    npy.write_array_header_1_0(out, fields)  # type: ignore[no-untyped-call, unused-ignore]
    return out.getvalue()
