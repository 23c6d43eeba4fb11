"""Inputs that can be read only once: `<(zcat …)`, named pipes and standard input, copied to a file where need be."""

from __future__ import annotations

import atexit
import io
import os
import shutil
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from fidtools.console import on_terminal, standard_input
from fidtools.data.gzip_names import SUFFIX, is_gzip
from fidtools.errors import named_when_full
from fidtools.logs import log

PathLike = str | Path
STANDARD = "-"


def stdin_bytes() -> Any:
    """Standard input to read from. Where a person types it, a message says that the command waits for them."""
    return _keyboard() if on_terminal(sys.stdin) else standard_input()


@cache
def _keyboard() -> io.BufferedReader:
    log.info("reading standard input from the keyboard; Ctrl-D ends it, `-h` shows how to give a file")
    return io.BufferedReader(_Typed(standard_input().raw))


class _Typed(io.RawIOBase):
    """What is typed until the first Ctrl-D; a terminal itself would wait for more whenever it is read again."""

    def __init__(self, terminal: Any) -> None:
        self._terminal, self._ended = terminal, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = 0 if self._ended else self._terminal.readinto(buffer)
        self._ended = count == 0
        return count


def is_pipe(path: PathLike) -> bool:
    """Whether `path` names a pipe, socket or terminal, which cannot be opened again or read from the middle."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and os.path.realpath(path) != os.devnull)


def seekable(path: PathLike) -> PathLike:
    """The path, or that of a copy of everything that comes out of a pipe (or `-`): one copy for the whole process."""
    return _copy(str(path)) if str(path) == STANDARD or is_pipe(path) else path


@cache
def temporary_folder() -> Path:
    """A folder that is removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="fidtools-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _copy(path: str) -> Path:
    suffix = SUFFIX if is_gzip(path) else ""
    copy = temporary_folder() / f"pipe-{len(os.listdir(temporary_folder()))}{suffix}"
    with named_when_full(copy), open(copy, "wb") as out:
        if path == STANDARD:
            shutil.copyfileobj(stdin_bytes(), out)
        else:
            with open(path, "rb") as stream:
                shutil.copyfileobj(stream, out)
    return copy
