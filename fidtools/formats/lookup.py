"""Which format a file is in: the one its user names, or the one told from its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fidtools.data.files import STANDARD, PathLike
from fidtools.errors import DataError, UsageError
from fidtools.formats.head import Head
from fidtools.formats.registry import FORMATS, Format, Holds


def sniff(path: PathLike) -> Format:
    """The format of a file or folder, told from its beginning.

    Raises DataError when none fits, OSError as the system does. Standard input cannot be looked into beforehand.
    """
    if str(path) == STANDARD:
        raise UsageError("the format of standard input must be named", hint="--from NAME; fidtools convert --list")
    head = Head.of(path)
    if found := _told(head):
        return found
    if head.path.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    problem = "none of the known formats" if head.data else "empty, so of no format"
    raise DataError(problem, path=path, hint="fidtools convert --list shows them; --from names one")


def _told(head: Head) -> Format | None:
    return next((known for known in FORMATS.values() if known.told is not None and known.told(head)), None)


def named(name: str) -> Format:
    """The format of that name. Raises UsageError for an unknown one, with the known ones."""
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r}", hint=f"known are {', '.join(FORMATS)}")
    return FORMATS[name]


def reading(path: PathLike, name: str | None = None, holds: Holds | None = None) -> Format:
    """The format to read a file in: the one named, else the one told.

    JSON of no known format is read as our own lines where questions are wanted, which says what they lack. Raises a
    FidtoolsError for a format that cannot be read or does not hold what is wanted.
    """
    found = named(name) if name else _told(Head.of(path)) if str(path) != STANDARD else None
    if found is None and holds == "questions" and Head.of(path).start:
        found = FORMATS["jsonl"]
    found = found or sniff(path)
    if found.read is None:
        raise UsageError(f"{found.name} can only be written")
    if holds is not None and found.holds != holds:
        raise DataError(f"holds {found.holds} ({found.name}), not {holds}", path=path, hint="--from names the format")
    return found


def read_all(path: PathLike, holds: Holds, name: str | None = None) -> Iterator[Any]:
    """The records of a file in the format named or told, one at a time."""
    found = reading(path, name, holds)
    return found.read(path) if found.read else iter(())
