"""Writing embeddings so that a killed run can be resumed and no reader sees them incomplete."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy

from fidtools.data.embeddings import DTYPES, EmbeddingFiles
from fidtools.data.files import PathLike
from fidtools.data.jsonl import write_json
from fidtools.errors import DataError, FidtoolsError, MismatchError, UsageError
from fidtools.logs import log
from fidtools.typing import Array


class EmbeddingWriter:
    """Writes embeddings so that a killed run can go on and nobody sees them before they are whole.

    With `rows` and `ids` the file has its full size from the start and rows come in any order through `write`.
    `resume` keeps what a killed run of the same meta, ids and shape has written. `join` writes into the file that
    another process of the same run has opened (the one without `join` enters first and leaves last, after a barrier).
    With `rows=None` (a stream) rows are appended by `append`; there is nothing to resume.
    """

    def __init__(
        self,
        path: PathLike,
        rows: int | None,
        dim: int,
        dtype: str,
        meta: dict[str, Any],
        *,
        ids: Iterable[str] | None = None,
        resume: bool = False,
        join: bool = False,
    ) -> None:
        if dtype not in DTYPES:
            raise UsageError(f"embeddings are float32 or float16, not {dtype}")
        if rows is not None and ids is None and not join:
            raise ValueError("a writer of known size needs the ids of its rows")
        self.final, self.part = EmbeddingFiles.at(path), EmbeddingFiles.at(path).partial()
        self.rows, self.dim, self.dtype, self.meta = rows, dim, np.dtype(dtype), meta
        self._ids, self._resume, self._join = ids, resume, join
        self._hash, self._appended = hashlib.sha256(), 0

    def __enter__(self) -> Self:
        if self.final.vectors.is_dir():
            raise IsADirectoryError(21, "Is a directory", str(self.final.vectors))
        header = _header((self.rows or 0, self.dim), self.dtype)
        self._start = len(header)
        if not self._join:
            self._check_space()
            if self.rows is None or not self._can_resume():
                self._prepare(header)
        self._vectors = os.open(self.part.vectors, os.O_RDWR)
        if self.rows is not None:
            self._marks = os.open(self.final.done, os.O_RDWR)
            self._done = np.fromfile(self.final.done, dtype=bool)
        return self

    @property
    def _row_bytes(self) -> int:
        return self.dim * self.dtype.itemsize

    def _check_space(self) -> None:
        need = (self.rows or 0) * self._row_bytes
        already = self.part.vectors.stat().st_blocks * 512 if self._resume and self.part.vectors.exists() else 0
        free = shutil.disk_usage(self.final.vectors.absolute().parent).free
        if need:
            log.info("%s: %s rows of %s × %s, %.3g GB", self.final.vectors, self.rows, self.dim, self.dtype, need / 1e9)
        if need - already > free:
            hint = "float16 halves it; or write to another disk"
            raise FidtoolsError(
                f"{self.final.vectors} needs {need / 1e9:.3g} GB, {free / 1e9:.3g} GB are free", hint=hint
            )

    def _state(self) -> dict[str, Any]:
        hashed = {"ids_sha256": self._hash.hexdigest()}
        return self.meta | {"rows": self.rows, "dim": self.dim, "dtype": str(self.dtype)} | hashed

    def _can_resume(self) -> bool:
        """Write the ids, and say whether the vectors already there belong to the same run."""
        self._write_ids()
        if not self._resume or not self.part.meta.exists():
            return False
        same = bool(json.loads(self.part.meta.read_bytes()) == json.loads(json.dumps(self._state())))
        if not same:
            log.warning("%s: the unfinished run had other settings or passages; starting anew", self.final.vectors)
        return same

    def _write_ids(self) -> None:
        with open(self.part.ids, "wb") as out:
            count = sum(out.write(self._id_line(identifier)) > 0 for identifier in self._ids or ())
        if count != self.rows:
            raise MismatchError(f"{count} ids for {self.rows} rows", path=self.final.vectors)

    def _id_line(self, identifier: str) -> bytes:
        if "\n" in identifier or "\r" in identifier:
            raise DataError("an id must not hold a line break", value=identifier)
        line = identifier.encode() + b"\n"
        self._hash.update(line)
        return line

    def _prepare(self, header: bytes) -> None:
        self.part.meta.unlink(missing_ok=True)
        with open(self.part.vectors, "wb") as out:
            out.write(header)
            if self.rows:
                out.truncate(self._start + self.rows * self._row_bytes)
        if self.rows is None:
            self._stream_ids = open(self.part.ids, "wb")  # noqa: SIM115 - closed in __exit__
            return
        self.final.done.write_bytes(bytes(self.rows))
        write_json(self.part.meta, self._state())  # last: what it describes is there

    def missing(self, start: int, stop: int) -> bool:
        """Whether any of rows start … stop-1 has yet to be written."""
        return not bool(self._done[start:stop].all())

    def write(self, start: int, vectors: Array) -> None:
        """Put `vectors` (m × d) into rows start … start+m-1. Any order; the same rows may be written again."""
        self._put(start, vectors)
        os.pwrite(self._marks, b"\x01" * len(vectors), start)  # after the vectors: a mark never runs ahead of its row
        self._done[start : start + len(vectors)] = True

    def append(self, ids: Sequence[str], vectors: Array) -> None:
        """Add rows at the end, of a stream whose length is not known."""
        self._stream_ids.writelines(self._id_line(identifier) for identifier in ids)
        self._put(self._appended, vectors)
        self._appended += len(vectors)

    def _put(self, start: int, vectors: Array) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ValueError(f"expected vectors of shape (m, {self.dim}), got {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise DataError(
                "an encoder gave NaN or infinite numbers", path=self.final.vectors, field="row", value=start
            )
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(vectors, dtype=self.dtype)
        if not np.isfinite(stored).all():
            hint = "store them as float32"
            raise DataError(f"numbers too large for {self.dtype}", path=self.final.vectors, hint=hint)
        _write_at(self._vectors, stored.tobytes(), self._start + start * self._row_bytes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._join:
            os.fsync(self._vectors)
        os.close(self._vectors)
        if self.rows is None:
            self._stream_ids.close()
            if kind is None:
                self._finish_stream()
            self.part.remove()
            return
        os.close(self._marks)
        if kind is None and not self._join:
            self._finish()

    def _finish_stream(self) -> None:
        self.rows = self._appended
        with open(self.part.vectors, "r+b") as out:
            out.write(_header((self.rows, self.dim), self.dtype))
        self._publish()

    def _finish(self) -> None:
        missing = self.rows - int(np.fromfile(self.final.done, dtype=bool).sum()) if self.rows else 0
        if missing:
            raise FidtoolsError(f"{self.final.vectors}: {missing} of {self.rows} rows were never written")
        self._publish()

    def _publish(self) -> None:
        """Rename the parts; the vectors come last, so that whoever sees them sees all of it."""
        self.final.vectors.unlink(missing_ok=True)
        os.replace(self.part.ids, self.final.ids)
        write_json(self.final.meta, self._state())
        os.replace(self.part.vectors, self.final.vectors)
        self.part.meta.unlink(missing_ok=True)
        self.final.done.unlink(missing_ok=True)


def _header(shape: tuple[int, int], dtype: np.dtype[Any]) -> bytes:
    """A .npy header whose length does not depend on the number of rows."""
    from io import BytesIO

    out = BytesIO()
    fields = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(out, fields)  # type: ignore[no-untyped-call, unused-ignore]
    return out.getvalue()


def _write_at(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
