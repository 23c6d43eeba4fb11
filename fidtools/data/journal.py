"""The results of an unfinished run, kept beside its output, for the run that resumes it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from fidtools.data.files import STANDARD, PathLike, atomic_path
from fidtools.data.jsonl import as_read_back
from fidtools.data.locks import exclusive
from fidtools.data.outputs import final_path, is_special
from fidtools.errors import START_OVER, FidtoolsError, UsageError, refuse_other_settings


class Journal:
    """Values in the order in which they were computed, one a line; the first line has the settings of the run.

    Its length is their number. They are read from the file; those of a journal without one are in memory.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._path, self._settings = path, settings
        self._file: BinaryIO | None = None
        self._in_memory: list[Any] = []
        self._length = 0
        self._end = 0  # in bytes, of the last whole line that a run takes over

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        """The values. Raises FidtoolsError when the file does not hold what this run and the earlier one wrote."""
        if self._file is None:
            yield from self._in_memory
            return
        self._file.seek(0)
        values = (value for _, value in _whole_lines(self._file))
        number = 0
        if next(values, None) == self._settings:
            for value in values:
                number += 1
                yield value
        if number != self._length:
            problem = f"{self._path}: another program has changed it; {number} of {self._length} results are left"
            raise FidtoolsError(problem, hint="start again")

    def check(self) -> None:
        """Raise UsageError when the file is somebody else's."""
        if self._path is not None and self._path.exists() and not is_journal(self._path):
            raise UsageError(f"{self._path} already exists and is no unfinished run", hint="move it away")

    def resume(self) -> None:
        """Take over what an unfinished run has kept. Raises UsageError when it used other settings."""
        if self._path is None or not self._path.exists():
            return
        before: Any = None
        length = end = 0
        with open(self._path, "rb") as file:
            for length, (line, value) in enumerate(_whole_lines(file)):  # the settings, then value 1, 2 …
                before = value if length == 0 else before
                end += len(line)
        if length:
            refuse_other_settings(self._path, "unfinished", before, self._settings, START_OVER)
        self._length, self._end = length, end

    def start(self) -> None:
        """Write the settings, unless there are values taken over; what follows the last whole one is removed."""
        if self._path is None:
            return
        if self._length == 0:
            settings = _line(self._settings)
            self._end = len(settings)
            with atomic_path(self._path) as partial:
                partial.write_bytes(settings)
        self._file = open(self._path, "r+b")  # noqa: SIM115 (closed by `close`)
        self._file.truncate(self._end)

    def add(self, value: Any) -> None:
        """Keep one more value."""
        if self._file is None:
            self._in_memory.append(value)
        else:
            self._file.seek(0, os.SEEK_END)
            self._file.write(_line(value))
            self._file.flush()
        self._length += 1

    def close(self) -> None:
        """Close the file, which stays for a run that resumes this one."""
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        """Delete the file: the output is complete."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def journal_path(target: Path) -> Path:
    """Where the journal of an output is: `.NAME.unfinished` beside it."""
    return target.with_name(f".{target.name}.unfinished")


def is_journal(path: Path) -> bool:
    """Whether a file is a journal, or empty."""
    with open(path, "rb") as file:
        first = next(_whole_lines(file), None)
        return isinstance(first[1], dict) if first else file.seek(0, os.SEEK_END) == 0


def _line(value: Any) -> bytes:
    return orjson.dumps([value]) + b"\n"


def _whole_lines(lines: Iterable[bytes]) -> Iterator[tuple[bytes, Any]]:
    """The lines and their values, up to the first that is not whole: a killed run may end in the middle of one."""
    for line in lines:
        found = None
        with contextlib.suppress(orjson.JSONDecodeError):
            found = orjson.loads(line) if line.endswith(b"\n") else None
        if not isinstance(found, list) or len(found) != 1:
            return
        yield line, found[0]


@contextlib.contextmanager
def open_journal(output: PathLike, settings: dict[str, Any], *, resume: bool) -> Iterator[Journal]:
    """The journal of an output, `.NAME.unfinished` beside it, removed when the block ends well or nothing was kept.

    Standard output and devices have none. Raises UsageError for `resume` there, for an unfinished run of other
    settings and for a file of that name that is no journal, FidtoolsError while another process writes the same output.
    """
    if str(output) == STANDARD or is_special(output):
        if resume:
            raise UsageError("--resume continues a file", hint="name it with -o")
        yield Journal(None, settings)
        return
    target = final_path(output)
    with exclusive(target, "writing it", wait=False):
        journal = Journal(journal_path(target), as_read_back(settings))
        journal.check()
        if resume:
            journal.resume()
        journal.start()
        try:
            yield journal
        except BaseException:
            if not len(journal):
                journal.remove()
            raise
        finally:
            journal.close()
        journal.remove()
