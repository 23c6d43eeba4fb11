"""The done-marks of `embed`: which rows of unfinished embeddings a run has written, for the run that resumes it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


class DoneMarks:
    """One byte per row in a file: 1 once the row's vector has been written. Several processes may mark at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR)
        self._done = np.fromfile(path, dtype=bool)

    @classmethod
    def create(cls, path: Path, rows: int) -> None:
        """A file of marks for rows of which none is written."""
        path.write_bytes(bytes(rows))

    def all_done(self, start: int, stop: int) -> bool:
        """Whether rows start … stop-1 were written by an earlier run or by this process."""
        return bool(self._done[start:stop].all())

    def mark(self, start: int, stop: int) -> None:
        """Note that rows start … stop-1 are written."""
        os.pwrite(self._file, b"\x01" * (stop - start), start)
        self._done[start:stop] = True

    def count_missing(self) -> int:
        """How many rows no process has marked."""
        done = np.fromfile(self.path, dtype=bool)  # read again: other processes mark too
        return len(done) - int(done.sum())

    def close(self) -> None:
        """Close the file; it stays on disk."""
        os.close(self._file)
