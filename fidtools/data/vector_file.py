"""A .npy table of vectors that is filled in place, its rows in any order."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from fidtools.data.files import PathLike
from fidtools.errors import DataError
from fidtools.typing import Array


class VectorFile:
    """An existing .npy file opened for writing vectors of length `dim`. Errors name `final`, which it will become."""

    def __init__(self, path: Path, dim: int, dtype: np.dtype[Any], final: PathLike) -> None:
        self.dim, self.dtype, self.final = dim, dtype, final
        self._first = len(npy_header((0, dim), dtype))
        self._file = os.open(path, os.O_RDWR)

    @classmethod
    def create(cls, path: Path, rows: int, dim: int, dtype: np.dtype[Any]) -> None:
        """A file of `rows` vectors of zeros; the file system need not store them yet."""
        header = npy_header((rows, dim), dtype)
        with open(path, "wb") as out:
            out.write(header)
            out.truncate(len(header) + rows * dim * dtype.itemsize)

    def write(self, start: int, vectors: Array) -> None:
        """Store `vectors` (m × dim) as rows start … start+m-1.

        Raises DataError for numbers that are not finite, in `vectors` or in the type they are stored as.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ValueError(f"expected vectors of shape (m, {self.dim}), got {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise DataError("the encoder returned NaN or infinite numbers", path=self.final, field="row", value=start)
        with np.errstate(over="ignore"):  # checked in the next line
            stored = np.ascontiguousarray(vectors, dtype=self.dtype)
        if not np.isfinite(stored).all():
            raise DataError(f"numbers too large for {self.dtype}", path=self.final, hint="store them as float32")
        self._write_at(self._first + start * self.dim * self.dtype.itemsize, stored.tobytes())

    def set_rows(self, rows: int) -> None:
        """Rewrite the header with the number of rows that a stream turned out to have."""
        self._write_at(0, npy_header((rows, self.dim), self.dtype))

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


def npy_header(shape: tuple[int, int], dtype: np.dtype[Any]) -> bytes:
    """A .npy header; numpy pads it, so that its length does not depend on the number of rows."""
    out = BytesIO()
    fields = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(out, fields)  # type: ignore[no-untyped-call, unused-ignore]
    return out.getvalue()
