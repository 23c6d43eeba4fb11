"""The results of an unfinished run, kept beside its output, for the run that resumes it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from fidtools.data.files import STANDARD, PathLike, atomic_path
from fidtools.data.jsonl import as_read_back
from fidtools.data.locks import exclusive
from fidtools.data.outputs import final_path, is_special
from fidtools.errors import UsageError, describe_difference


class Journal:
    """Values in the order in which they were computed, one a line; the first line has the settings of the run.

    Its length is their number. They are read from the file; those of a journal without one are in memory.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._path, self._settings = path, settings
        self._in_memory: list[Any] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return iter(self._in_memory) if self._path is None else islice(_whole_values(self._path), 1, None)

    def resume(self) -> None:
        """Take over what an unfinished run has kept. Raises UsageError when it used other settings."""
        if self._path is None or not self._path.exists():
            return
        values = _whole_values(self._path)
        before = next(values, None)
        if before is None:
            return
        if before != self._settings:
            difference = describe_difference(before, self._settings)
            hint = "use the same options and the same input, or leave out --resume to start over"
            raise UsageError(f"the unfinished run used other settings: {difference}", hint=hint)
        self._length = sum(1 for _ in values)

    def start(self) -> None:
        """Write the settings, unless there are values taken over; what follows the last whole one is removed."""
        if self._path is None:
            return
        if self._length == 0:
            with atomic_path(self._path) as partial:
                partial.write_bytes(_line(self._settings))
        else:
            os.truncate(self._path, sum(len(line) for line, _ in _whole_lines(self._path)))

    def add(self, value: Any) -> None:
        """Keep one more value."""
        if self._path is None:
            self._in_memory.append(value)
        else:
            with open(self._path, "ab") as out:
                out.write(_line(value))
        self._length += 1

    def remove(self) -> None:
        """Delete the file: the output is complete."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _line(value: Any) -> bytes:
    return orjson.dumps([value]) + b"\n"


def _parsed(line: bytes) -> Any:
    """A line's value, in a list as it is written; None for what is not whole."""
    with contextlib.suppress(orjson.JSONDecodeError):
        return orjson.loads(line) if line.endswith(b"\n") else None
    return None


def _whole_values(path: Path) -> Iterator[Any]:
    """The settings and the values that a journal's file holds."""
    return (value for _, value in _whole_lines(path))


def _whole_lines(path: Path) -> Iterator[tuple[bytes, Any]]:
    """The lines and their values, up to the first that is not whole: a killed run may end in the middle of one."""
    with open(path, "rb") as lines:
        for line in lines:
            found = _parsed(line)
            if found is None:
                return
            yield line, found[0]


@contextlib.contextmanager
def open_journal(output: PathLike, settings: dict[str, Any], *, resume: bool) -> Iterator[Journal]:
    """The journal of an output, `.NAME.unfinished` beside it, removed when the block ends well or nothing was kept.

    Standard output and devices have none. Raises UsageError for `resume` there and for an unfinished run of other
    settings, FidtoolsError while another process writes the same output.
    """
    if str(output) == STANDARD or is_special(output):
        if resume:
            raise UsageError("--resume continues a file", hint="name it with -o")
        yield Journal(None, settings)
        return
    target = final_path(output)
    with exclusive(target, "writing it", wait=False):
        journal = Journal(target.with_name(f".{target.name}.unfinished"), as_read_back(settings))
        if resume:
            journal.resume()
        journal.start()
        try:
            yield journal
        except BaseException:
            if not len(journal):
                journal.remove()
            raise
        journal.remove()
