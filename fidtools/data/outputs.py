"""What an output may replace: the one place that decides for every command and for the files beside its output.

Links are followed, so that the file or folder they point to is written, on its own disk. A name of an open descriptor
(`/dev/stdout`) is written to. A folder is replaced only when all of it is an earlier output of the same kind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from fidtools.errors import UsageError

MOST_LINKS = 40  # as many as the kernel follows
MOST_SHOWN = 3  # names in a message
DESCRIPTOR = re.compile(r"/(?:proc/(?P<process>\d+)(?:/task/\d+)?|dev)/fd/(?P<number>\d+)")
UNFINISHED = re.compile(r"(.*/)?(\..+\.[0-9a-f]{8}\.(partial|old)(/.*)?|\..+\.lock|\.DS_Store)")
"""Relative paths that are nobody's: what killed processes leave, locks, and what file browsers write."""


@dataclass(frozen=True)
class FolderKind:
    """What the folders of one kind of output hold.

    `marks` are files that every such folder has; `holds` are patterns of the relative paths that it may have. Whatever
    else is in a folder is the user's.
    """

    name: str
    marks: tuple[str, ...]
    holds: tuple[str, ...]
    has_force: bool = True
    """Whether the command that writes it has --force."""
    owns: Callable[[Path], bool] | None = None
    """Whether a file is of this kind by what is in it, where other files go by the same names."""

    def foreign(self, folder: Path) -> list[str]:
        """The relative paths of files in `folder` that are not of this kind; all of them where a mark is missing."""
        found = sorted(_files(folder))
        if not all((folder / mark).is_file() for mark in self.marks):
            return found
        return [name for name in found if not self._has(folder, name)]

    def _has(self, folder: Path, name: str) -> bool:
        named = any(fnmatchcase(name, pattern) for pattern in self.holds)
        return named and (self.owns is None or self.owns(folder / name))


def _files(folder: Path) -> Iterator[str]:
    """Everything in a folder that is no folder, and empty folders, by path relative to it."""
    for at, folders, files in os.walk(folder):
        names = [f"{name}/" for name in folders if _is_empty(Path(at, name))]
        names += [name for name in folders if Path(at, name).is_symlink()]
        paths = (f"{Path(at, name).relative_to(folder).as_posix()}" for name in [*names, *files])
        yield from (path for path in paths if not UNFINISHED.fullmatch(path))


def _is_empty(folder: Path) -> bool:
    try:
        return not folder.is_symlink() and not any(folder.iterdir())
    except OSError:
        return False


def refuse_foreign(folder: Path, kind: FolderKind, *, force: bool = False) -> None:
    """Raise UsageError when the folder of an output exists and holds something that is not of that kind.

    `force` permits that. What cannot be replaced at all is refused with it too: the current folder, a mount point.
    """
    folder = final_path(folder)
    if not folder.is_dir():
        return
    if folder.is_mount() or Path.cwd().is_relative_to(folder.resolve()):
        what = "the current folder" if not folder.is_mount() else "a mount point"
        raise UsageError(f"{folder}: the output folder would replace {what}", hint="name a new folder inside it")
    if not force and (foreign := kind.foreign(folder)):
        shown = ", ".join(foreign[:MOST_SHOWN])
        more = f" and {len(foreign) - MOST_SHOWN} more" if len(foreign) > MOST_SHOWN else ""
        problem = f"{folder} already exists and is not only {kind.name}: it holds {shown}{more}"
        hint = "name another folder, or move these files away"
        raise UsageError(problem, hint=f"{hint}; --force replaces them" if kind.has_force else hint)


def final_path(path: str | Path) -> Path:
    """The file or folder that is written under the name `path`: where its links lead, which need not exist yet."""
    target = Path(path)
    for _ in range(MOST_LINKS):
        if descriptor_of(target) is not None or not target.is_symlink():
            return target.resolve() if target.name in ("", "..") else target
        target = Path(os.path.join(target.parent, os.readlink(target)))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def descriptor_of(path: Path) -> tuple[int, bool] | None:
    """The descriptor that a path such as `/dev/fd/1` names, and whether it is of this process. Follows no links."""
    found = DESCRIPTOR.fullmatch(os.path.join(os.path.realpath(path.parent), path.name))  # /dev/fd is a link on Linux
    return found and (int(found["number"]), found["process"] in (None, str(os.getpid())))


def is_special(path: str | Path) -> bool:
    """Whether `path` is a device, a pipe or an open descriptor, which is written to and never replaced."""
    target = final_path(path)
    return descriptor_of(target) is not None or (target.exists() and not target.is_file() and not target.is_dir())


@contextlib.contextmanager
def open_special(path: str | Path) -> Iterator[BinaryIO]:
    """A device, pipe or open descriptor to write to. What a descriptor's file holds already stays before it."""
    target = final_path(path)
    number, is_own = descriptor_of(target) or (None, False)
    with os.fdopen(os.dup(number), "wb") if number is not None and is_own else open(target, "ab") as stream:
        yield stream


def keep_attributes(old: Path, new: Path) -> None:
    """Give `new`, which is about to replace `old`, its mode and, where this user may, its owner."""
    try:
        before = old.stat()
    except FileNotFoundError:
        return
    with contextlib.suppress(PermissionError):
        now = new.stat()
        if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
            os.chown(new, before.st_uid, before.st_gid)
    with contextlib.suppress(PermissionError):
        os.chmod(new, stat.S_IMODE(before.st_mode))
