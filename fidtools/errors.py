"""Errors as data. `cli.run` is the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
SHOWN_CHARACTERS = 80  # of a value in a message
MOST_DIGITS = 18
"""Of integers in texts: Python refuses to read thousands of digits, and more than these do not fit into 64 bits."""
NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""No room for a file. The errors of tantivy, faiss and safetensors quote the system's words."""


def printable(text: str, *, keep: str = "") -> str:
    """`text` with the escapes of characters that a terminal would obey or cannot show, except those in `keep`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    """The escape of a character; of a byte of a file name that is not UTF-8, `\\xe9`."""
    is_byte = "\udc80" <= character <= "\udcff"
    return f"\\x{ord(character) - 0xDC00:02x}" if is_byte else repr(character)[1:-1]


def shorten(value: object, width: int = SHOWN_CHARACTERS) -> str:
    """`value` as one printable line of at most `width` characters."""
    try:
        text = printable(value if isinstance(value, str) else repr(value))
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= width else text[: width - 1] + "…"


class FidtoolsError(Exception):
    """Base class of every error that a user can cause; `exit_code` is the exit code of the process."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"


class UsageError(FidtoolsError):
    """The command line asks for something impossible or contradictory."""

    exit_code = 2


class DataError(FidtoolsError):
    """A file contains something that a command cannot use; the message names file, line, field and value.

    `expected` is set when the first record of the file cannot be read: what the command wanted ("questions"), while
    the file may be in another format. `head` are then the first bytes of a file that cannot be opened again.
    """

    expected: str | None = None
    head: bytes | None = None

    def __init__(
        self,
        problem: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        field: str | None = None,
        value: object = None,
        hint: str | None = None,
    ) -> None:
        self.problem, self.path, self.line, self.field, self.value = problem, path, line, field, value
        super().__init__(self._format(), hint=hint)

    def _format(self) -> str:
        where = "" if self.path is None else f"{show_path(self.path)}:"
        where += "" if self.line is None else f"{self.line}:"
        field = "" if self.field is None else f" field '{shorten(self.field)}':"
        value = "" if self.value is None else f" (got {shorten(self.value)})"
        return f"{where}{field} {self.problem}{value}".strip()


class MismatchError(DataError):
    """Two files do not belong together (another encoder, another corpus, a truncated file)."""


class MissingExtraError(FidtoolsError):
    """An optional dependency is needed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional package", hint=install_hint(extra))


def install_hint(extra: str) -> str:
    """What installs an extra: the script of the repository, which knows the versions, or pip."""
    return f"bin/setup {extra} (in the repository), or: pip install 'fidtools[{extra}]'"


def show_path(path: str | Path) -> str:
    """The path as messages name it: printable; `-` is `<stdin>`."""
    return (
        "<stdin>" if str(path) == "-" else printable(os.fsencode(path).decode("utf-8", "backslashreplace"))
    )  # a name need not be UTF-8


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean …?` with the known names that are similar, in any case; empty where none is."""
    lower, spelled = name.lower(), {other.lower(): other for other in known}
    begun = [other for other in spelled if len(other) > 2 and (lower.startswith(other) or other.startswith(lower))]
    similar = [lower] if lower in spelled else begun or difflib.get_close_matches(lower, spelled, cutoff=0.7)
    return f" Did you mean {' or '.join(spelled[other] for other in similar)}?" if name and similar else ""


def several(errors: Iterable[DataError], total: int, shown: int = 5) -> FidtoolsError:
    """One error for many of the same kind: the first `shown` of `total`, and how many more there are."""
    lines = [str(e) for _, e in zip(range(shown), errors, strict=False)]
    rest = total - len(lines)
    return FidtoolsError("\n".join(lines) + (f"\n… and {rest} more" if rest > 0 else ""))


def nonempty(items: Iterable[T], what: str, path: str | Path) -> Iterator[T]:
    """`items` as they are. Raises DataError when there is none: the file `path` should hold `what`."""
    empty = True
    for item in items:
        empty = False
        yield item
    if empty:
        raise DataError(f"no {what}: the file is empty", path=path)


def describe_difference(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> str:
    """The first setting that differs between two runs, inside of nested ones: `encoder.dim was 8, is now 16`.

    Another `command` is named before all others: its settings differ, too.
    """
    names = sorted(before.keys() | now.keys(), key=lambda name: (name != "command", name))
    name = next(name for name in names if before.get(name) != now.get(name))
    old, new = before.get(name), now.get(name)
    if isinstance(old, dict) and isinstance(new, dict):
        return describe_difference(old, new, f"{prefix}{name}.")
    return f"{prefix}{name} was {shorten(old)}, is now {shorten(new)}"


def refuse_other_settings(place: object, run: str, before: dict[str, Any], now: dict[str, Any], otherwise: str) -> None:
    """Raise UsageError where the settings of the (finished, unfinished) `run` of an output are not those of this one.

    `otherwise` says what to do instead of using the same ones.
    """
    if before != now:
        problem = f"{place}: the {run} run used other settings: {describe_difference(before, now)}"
        raise UsageError(problem, hint=f"use the same options and the same input, {otherwise}")


START_OVER = "or leave out --resume to start over"
REPLACE = "name another file, or leave out --resume to replace it"
INCOMPLETE = "what was written there is incomplete: free some space and run it again"
"""The hint about a stream that had no room, which cannot be taken back as a file can."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be allocated or mapped; libraries have the system's words in errors of their own."""
    words = (os.strerror(errno.ENOMEM), "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def no_room(error: BaseException) -> str | None:
    """The system's words when an error, of Python or of a library, says that a file has no room; else None."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno in NO_ROOM else None
    return next((words for words in map(os.strerror, NO_ROOM) if words in str(error)), None)


@contextlib.contextmanager
def named_when_full(place: Path, *partial: Path) -> Iterator[None]:
    """Name `place` in the error of a block that had no room to write: the system names no file where a write fails.

    Names in `partial`, under which the place is written, mean nothing to the user and are replaced too.
    """
    try:
        yield
    except Exception as error:  # libraries have errors of their own for a full disk
        name = str(getattr(error, "filename", None) or "")
        is_named = name and not any(Path(name).is_relative_to(path) for path in partial)
        if isinstance(error, FidtoolsError) or is_named or (full := no_room(error)) is None:
            raise
        number = next(number for number in NO_ROOM if os.strerror(number) == full)
        raise OSError(number, full, str(place)) from error


@contextlib.contextmanager
def kept_when_full(place: Path, hint: str) -> Iterator[None]:
    """Turn the error of a block that had no room to write into one that names `place`, and says what is kept."""
    try:
        yield
    except Exception as error:  # safetensors has an error of its own for a full disk
        if isinstance(error, FidtoolsError) or (full := no_room(error)) is None:
            raise
        raise FidtoolsError(f"{place}: {full.lower()}", hint=hint) from error
