"""Which format a file is in: the one its user names, or the one detected from its first bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fidtools.data.files import STANDARD, PathLike
from fidtools.errors import DataError, UsageError, did_you_mean
from fidtools.formats.format import Format, Kind
from fidtools.formats.head import Head
from fidtools.formats.registry import FORMATS
from fidtools.formats.signatures import describe


def detect_format(path: PathLike) -> Format:
    """The format of a file or folder, detected from its first bytes.

    Raises DataError when no format matches, UsageError for standard input (which cannot be read twice), and OSError as
    the system does.
    """
    if str(path) == STANDARD:
        raise UsageError("the format of standard input must be named", hint="--from NAME; fidtools convert --list")
    head = Head.of(path)
    if found := matching_format(head):
        return found
    if head.path.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    known = describe(head)
    problem = f"format not recognized{': it is ' if known else ''}{known or ''}" if head.data else "the file is empty"
    raise DataError(problem, path=path, hint="fidtools convert --list lists the formats; --from names one")


def matching_format(head: Head) -> Format | None:
    """The first format that these bytes match."""
    return next((known for known in FORMATS.values() if known.detect is not None and known.detect(head)), None)


def format_named(name: str, others: Iterable[str] = ()) -> Format:
    """The format of that name. Raises UsageError for an unknown one, with the known ones and `others`."""
    if name not in FORMATS:
        known = [*FORMATS, *others]
        meant = did_you_mean(name, known)
        raise UsageError(f"unknown format {name!r}{meant and '.' + meant}", hint=f"available: {', '.join(known)}")
    return FORMATS[name]


def input_format(path: PathLike, name: str | None = None, kind: Kind | None = None) -> Format:
    """The format to read a file in: the one named, else the one detected.

    JSON of no known format is read as our own lines where questions are wanted, so that the error names what is
    missing. Raises a FidtoolsError for a format that cannot be read or whose files hold another `kind`.
    """
    found = format_named(name) if name else matching_format(Head.of(path)) if str(path) != STANDARD else None
    if found is None and kind == "questions" and Head.of(path).start:
        found = FORMATS["jsonl"]
    found = found or detect_format(path)
    if found.read is None:
        raise UsageError(f"{found.name} can only be written")
    if kind is not None and found.kind != kind:
        raise DataError(f"contains {found.kind} ({found.name}), not {kind}", path=path, hint="--from names the format")
    return found


def read_all(path: PathLike, kind: Kind, name: str | None = None) -> Iterator[Any]:
    """The records of a file in the format named or detected, one at a time."""
    found = input_format(path, name, kind)
    return found.read(path) if found.read else iter(())
