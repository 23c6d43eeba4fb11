"""The results of an unfinished run, kept beside its output, for the run that resumes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from fidtools.data.files import STANDARD, PathLike, atomic_path
from fidtools.data.jsonl import as_read_back
from fidtools.data.locks import exclusive
from fidtools.data.outputs import final_path, is_special
from fidtools.errors import UsageError, describe_difference


class Journal:
    """Values in the order in which they were computed, one a line; the first line has the settings of the run."""

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._path, self._settings = path, settings
        self.values: list[Any] = []

    def resume(self) -> None:
        """Take over what an unfinished run has kept. Raises UsageError when it used other settings."""
        if self._path is None or not self._path.exists():
            return
        lines = [_parsed(line) for line in self._path.read_bytes().splitlines(keepends=True)]
        whole = lines[: lines.index(None)] if None in lines else lines  # a killed run may end in the middle of a line
        if not whole:
            return
        if whole[0] != [self._settings]:
            difference = describe_difference(whole[0][0], self._settings)
            hint = "use the same options and the same input, or leave out --resume to start over"
            raise UsageError(f"the unfinished run used other settings: {difference}", hint=hint)
        self.values = [value for (value,) in whole[1:]]

    def start(self) -> None:
        """Write the settings, and the values taken over: what is kept on the disk already stays until all are there."""
        if self._path is not None:
            with atomic_path(self._path) as partial:
                partial.write_bytes(b"".join(map(_line, [self._settings, *self.values])))

    def add(self, value: Any) -> None:
        """Keep one more value."""
        self.values.append(value)
        if self._path is not None:
            with open(self._path, "ab") as out:
                out.write(_line(value))

    def remove(self) -> None:
        """Delete the file: the output is complete."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _line(value: Any) -> bytes:
    return orjson.dumps([value]) + b"\n"


def _parsed(line: bytes) -> Any:
    with contextlib.suppress(orjson.JSONDecodeError):
        return orjson.loads(line) if line.endswith(b"\n") else None
    return None


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
            if not journal.values:
                journal.remove()
            raise
        journal.remove()
