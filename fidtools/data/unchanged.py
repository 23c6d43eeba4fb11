"""Files that must stay as they are while they are read: the halves of two versions are the data of neither."""

from __future__ import annotations

import io
import os
import stat
from typing import Any

from fidtools.errors import DataError

BUFFER_BYTES = 1 << 17


class UnchangedFile(io.FileIO):
    """A file whose reading ends with a DataError when somebody writes to it meanwhile.

    One that is replaced by another under its name is read to its end, and so is one of which all has been read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(os.fspath(path), "rb")
        self._is_regular = stat.S_ISREG(os.fstat(self.fileno()).st_mode)
        self._begun = self._state()

    def readinto(self, buffer: Any) -> int:
        """Read at most as many bytes as `buffer` has room for."""
        count = super().readinto(buffer)
        self._check(is_end=not count)
        return count

    def readall(self) -> bytes:
        """Read the rest."""
        rest = super().readall()
        self._check(is_end=not rest)
        return rest

    def _state(self) -> tuple[int, int]:
        found = os.fstat(self.fileno())
        return found.st_size, found.st_mtime_ns

    def _check(self, is_end: bool) -> None:
        if not self._is_regular or self._state() == self._begun or (is_end and self.tell() == self._begun[0]):
            return
        raise DataError("was changed while it was being read", path=self.name, hint="run the command again")


def open_unchanged(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a file to read as an `UnchangedFile`. Raises OSError as `open` does."""
    return io.BufferedReader(UnchangedFile(path), BUFFER_BYTES)
