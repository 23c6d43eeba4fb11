"""Files that must stay as they are while they are read: the halves of two versions are the data of neither."""

from __future__ import annotations

import io
import os
import stat
import zlib
from typing import Any

from fidtools.errors import DataError

BUFFER_BYTES = 1 << 17


class UnchangedFile(io.FileIO):
    """A file whose reading ends with a DataError when somebody changes it meanwhile.

    One that is replaced by another under its name is read to its end, and so is one of which all has been read, and one
    that is as long as before and begins with all that has been read, such as one whose time alone is another.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(os.fspath(path), "rb")
        self._is_regular = stat.S_ISREG(os.fstat(self.fileno()).st_mode)
        self._begun = self._state()
        self._read, self._checksum = 0, 0

    def readinto(self, buffer: Any) -> int:
        """Read at most as many bytes as `buffer` has room for."""
        count = super().readinto(buffer)
        self._note(memoryview(buffer)[:count])
        self._check(is_end=not count)
        return count

    def readall(self) -> bytes:
        """Read the rest."""
        rest = super().readall()
        self._note(memoryview(rest))
        self._check(is_end=not rest)
        return rest

    def _state(self) -> tuple[int, int]:
        found = os.fstat(self.fileno())
        return found.st_size, found.st_mtime_ns

    def _note(self, data: memoryview) -> None:
        """Keep the checksum of all bytes from the first on; of those behind a gap, none."""
        if self._is_regular and self.tell() - len(data) == self._read:
            self._checksum = zlib.crc32(data, self._checksum)
            self._read += len(data)

    def _check(self, is_end: bool) -> None:
        if not self._is_regular or (state := self._state()) == self._begun:
            return
        if is_end and self.tell() == self._begun[0]:
            return
        if state[0] != self._begun[0] or not self._has_read_bytes() or self._state() != state:
            raise DataError("was changed while it was being read", path=self.name, hint="run the command again")
        self._begun = state

    def _has_read_bytes(self) -> bool:
        """Whether the file still begins with the bytes that were read."""
        if self.tell() > self._read:  # some were left out
            return False
        checksum = 0
        for start in range(0, self._read, BUFFER_BYTES):
            part = os.pread(self.fileno(), min(BUFFER_BYTES, self._read - start), start)
            checksum = zlib.crc32(part, checksum)
        return checksum == self._checksum


def open_unchanged(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a file to read as an `UnchangedFile`. Raises OSError as `open` does."""
    return io.BufferedReader(UnchangedFile(path), BUFFER_BYTES)
