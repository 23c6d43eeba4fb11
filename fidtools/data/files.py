"""Files in and out: compression by suffix, `-` for the standard streams, outputs that appear complete or not at all."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import orjson

PathLike = str | Path


STANDARD = "-"


JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


@contextlib.contextmanager
def open_input(path: PathLike) -> Iterator[BufferedReader]:
    """The bytes of a file, decompressed when it ends in .gz; `-` is standard input.

    Raises FileNotFoundError, IsADirectoryError, PermissionError as the system does.
    """
    if str(path) == STANDARD:
        yield cast(BufferedReader, sys.stdin.buffer)
        return
    with open(path, "rb") as raw:
        if str(path).endswith(".gz"):
            with gzip.open(raw, "rb") as unzipped:
                yield cast(BufferedReader, unzipped)
        else:
            yield raw


class Output:
    """Where a command writes its lines. Each line is handed over at once, so that pipes flow."""

    def __init__(self, stream: IO[bytes], flush: bool) -> None:
        self._stream, self._flush = stream, flush

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._stream.write(data)
        if self._flush:
            self._stream.flush()

    def line(self, value: Any) -> None:
        """Write one object as one line of JSON (numpy numbers and arrays included)."""
        self.write(orjson.dumps(value, option=JSON_OPTIONS))


@contextlib.contextmanager
def open_output(path: PathLike) -> Iterator[Output]:
    """An output that appears under `path` only when the block ends well; `-` is standard output.

    A temporary file is written beside `path` and renamed; .gz output is deterministic (no time stamp).
    """
    if str(path) == STANDARD:
        yield Output(sys.stdout.buffer, flush=True)
        return
    with atomic_path(path) as partial, open(partial, "wb") as raw:
        if str(path).endswith(".gz"):
            with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="", compresslevel=6) as zipped:
                yield Output(cast(IO[bytes], zipped), flush=False)
        else:
            yield Output(raw, flush=False)


def is_special(path: Path) -> bool:
    """Whether `path` is a device or pipe (`/dev/null`, `>(…)`), which is written to and never renamed over."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """A path beside `path` to write a file at; renamed to `path` when the block ends well, else removed."""
    target = Path(path)
    if is_special(target):
        yield target
        return
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(target))
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: PathLike) -> Iterator[Path]:
    """A folder beside `path` to fill; renamed to `path` when the block ends well, else removed.

    A folder already under `path` is replaced; a file there raises NotADirectoryError.
    """
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed run
    try:
        partial.mkdir()
        yield partial
        replace_folder(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Put the finished folder `new` in the place of `target`, which may exist."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    os.rename(new, target)
    shutil.rmtree(old, ignore_errors=True)
