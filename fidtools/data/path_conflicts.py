"""Outputs that would destroy an input, found by any name: a link, another spelling, a file beside it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fidtools.data.files import STANDARD, PathLike
from fidtools.data.outputs import final_path, is_special
from fidtools.errors import UsageError, shorten, show_path

Replaces = Literal["file", "folder", "nothing"]
STREAMS = {"input": 0, "output": 1}
MOST_NAME_BYTES = 225
"""Of an output's name. File systems take 255; unfinished outputs have longer names, `..NAME.unfinished.….partial`."""


@dataclass(frozen=True)
class Target:
    """Where a command writes.

    `replaces`: a file (and what lies beside it), the whole of a folder, or nothing but single files in a folder.
    `suffixes` are those of files that the command does not read from a folder, so that it may write them there.
    """

    path: PathLike
    replaces: Replaces = "file"
    suffixes: tuple[str, ...] = ()


def refuse_conflicts(targets: Sequence[Target], inputs: Iterable[PathLike]) -> None:
    """Raise UsageError when a target is one of the inputs, is inside one or holds one, or two targets are the same.

    Raises FileNotFoundError or NotADirectoryError when a target's folder does not exist.
    """
    read = [(path, part) for path in inputs for part in _with_side_files(path)]
    for number, target in enumerate(targets):
        for written in _with_side_files(target.path):
            for path, part in read:
                if reason := _conflict(target, written, part):
                    what = "" if str(part) == str(path) else f" (with {path})"
                    hint = "name another output"
                    raise UsageError(f"{_shown(written)} {reason} {show_path(part)}{what}", hint=hint)
            others = (other for second in targets[:number] for other in _with_side_files(second.path))
            if any(str(written) != STANDARD and _is_same(written, other) for other in others):
                raise UsageError(f"{written} is given for two outputs", hint="name different files")


def _with_side_files(path: PathLike) -> Iterator[PathLike]:
    yield path
    if os.path.isdir(f"{path}.rows"):
        yield f"{path}.rows"  # of a corpus
    if Path(path).suffix == ".npy":
        yield from (Path(path).with_suffix(suffix) for suffix in (".ids", ".json"))


def _conflict(target: Target, written: PathLike, part: PathLike) -> str | None:
    """Why `written` must not be written while `part` is read; None when it may."""
    if target.replaces != "nothing" and _is_same(written, part):
        return "is both output and input:"
    if STANDARD in (str(written), str(part)) or is_special(written):
        return None
    out, read = Path(os.path.realpath(written)), Path(os.path.realpath(part))
    if target.replaces == "folder" and read.exists() and out in read.parents:
        return "would be replaced, and holds the input"
    inside = read.is_dir() and read in out.parents and out.is_file()
    if inside and not out.name.endswith(target.suffixes or ("/",)):
        return "is part of the input"
    return None


def _is_same(written: PathLike, read: PathLike) -> bool:
    """Whether two paths (or `-`) are one regular file or one folder. Devices and pipes may be both."""
    first, second = _status(written, "output"), _status(read, "input")
    if first is None or second is None:
        return STANDARD not in (str(written), str(read)) and os.path.realpath(written) == os.path.realpath(read)
    return os.path.samestat(first, second) and (stat.S_ISREG(first.st_mode) or stat.S_ISDIR(first.st_mode))


def _status(path: PathLike, stream: str) -> os.stat_result | None:
    try:
        return os.fstat(STREAMS[stream]) if str(path) == STANDARD else os.stat(path)
    except OSError:
        return None


def refuse_unwritable(path: PathLike) -> None:
    """Raise the system's error for a file that cannot be written there: a folder, or one whose folder is missing."""
    if str(path) == STANDARD or is_special(path):
        return
    target = final_path(path)
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    parent = target.absolute().parent
    if not parent.is_dir():
        if parent.exists():
            raise NotADirectoryError(20, "Not a directory", str(parent))
        raise FileNotFoundError(2, "No such file or directory", str(target))


def refuse_long_name(path: PathLike) -> None:
    """Raise UsageError for a name that leaves no room for those of the files beside it."""
    name = final_path(path).name
    if (length := len(os.fsencode(name))) > MOST_NAME_BYTES:
        problem = f"{shorten(name)}: the name of this output has {length} bytes, more than {MOST_NAME_BYTES}"
        raise UsageError(problem, hint="name another output")


def _shown(path: PathLike) -> str:
    return "<stdout>" if str(path) == STANDARD else str(path)
