"""Input and output files: .gz by suffix, `-` for the standard streams, outputs that appear complete or not at all.

An output is written under a temporary name of its own process and then renamed, so that several processes with one
output do not mix. What a killed process leaves is removed by the next one that writes the same output.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import orjson

from fidtools.console import on_terminal, standard_output
from fidtools.data.gzip_names import is_gzip
from fidtools.data.outputs import FolderKind, final_path, is_special, keep_attributes, open_special, refuse_foreign
from fidtools.data.partial_names import clear_abandoned, name_beside, names_beside, own_name
from fidtools.data.pipes import seekable, stdin_bytes
from fidtools.data.unchanged import open_unchanged
from fidtools.errors import INCOMPLETE, DataError, kept_when_full, named_when_full
from fidtools.logs import no_bars

PathLike = str | Path
STANDARD = "-"
JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


@contextlib.contextmanager
def open_input(path: PathLike) -> Iterator[BufferedReader]:
    """The bytes of a file, decompressed when it ends in .gz; `-` is standard input.

    Another pipe (`<(…)`) is copied to a temporary file first, since many readers open a file twice. Raises
    FileNotFoundError, IsADirectoryError, PermissionError as the system does, DataError for a file that is changed
    while it is read.
    """
    if str(path) == STANDARD:
        yield cast(BufferedReader, stdin_bytes())
        return
    with open_unchanged(seekable(path)) as raw:
        if is_gzip(path):
            with gzip.open(raw, "rb") as unzipped:
                yield cast(BufferedReader, unzipped)
        else:
            yield raw


@contextlib.contextmanager
def open_data(path: PathLike) -> Iterator[BufferedReader]:
    """`open_input`, with a DataError when the file turns out to be a truncated or corrupt .gz while it is read."""
    try:
        with open_input(path) as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"truncated or corrupt gzip file: {error}", path=path) from error


class Output:
    """Where a command writes its lines."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._stream.write(data)

    def line(self, value: Any) -> None:
        """Write one object as one line of JSON (numpy numbers and arrays included)."""
        self.write(as_line(value))


class StandardOutput(Output):
    """Each line is passed on at once, so that the next program can start, and cannot be taken back."""

    def write(self, data: bytes) -> None:
        """Write bytes as they are. Raises FidtoolsError when there is no room for them."""
        with kept_when_full(Path("<stdout>"), INCOMPLETE):
            self._stream.write(data)
            self._stream.flush()


def as_line(value: Any) -> bytes:
    """One object as one line of JSON (numpy numbers and arrays included)."""
    return orjson.dumps(value, option=JSON_OPTIONS)


@contextlib.contextmanager
def open_output(path: PathLike) -> Iterator[Output]:
    """An output that appears under `path` only when the block ends well; `-` is standard output.

    A temporary file is written beside `path` and renamed; .gz output is deterministic (no time stamp). Processes that
    write to one path do not mix: the last to end wins.
    """
    if str(path) == STANDARD:
        with no_bars() if on_terminal(sys.stdout) else contextlib.nullcontext():
            yield StandardOutput(standard_output())
        return
    with _raw_output(path) as raw:
        if is_gzip(path):
            with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="", compresslevel=6) as zipped:
                yield Output(cast(IO[bytes], zipped))
        else:
            yield Output(raw)


@contextlib.contextmanager
def _raw_output(path: PathLike) -> Iterator[IO[bytes]]:
    if is_special(path):
        with kept_when_full(Path(path), INCOMPLETE), open_special(path) as raw:
            yield raw
        return
    with atomic_path(path) as partial, open(partial, "wb") as raw:
        yield raw


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """A path beside `path` to write a file at; renamed to `path` when the block ends well, else removed.

    Links are followed; the file that is replaced gives its mode to the new one. Every process writes a file of its own;
    the last to end wins.
    """
    target = final_path(path)
    if is_special(target):
        yield target
        return
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(target))
    clear_abandoned(target)
    partial, lock = own_name(target)
    try:
        with named_when_full(target, partial):
            yield partial
            replace_file(partial, target)
    finally:
        partial.unlink(missing_ok=True)
        os.close(lock)


def replace_file(new: Path, target: Path) -> None:
    """Put the finished file `new` in the place of `target`, which may exist and then gives it its mode and owner."""
    sync(new)
    keep_attributes(target, new)
    os.replace(new, target)


@contextlib.contextmanager
def atomic_folder(path: PathLike, kind: FolderKind | None = None, *, force: bool = False) -> Iterator[Path]:
    """A folder beside `path` to fill; renamed to `path` when the block ends well, else removed.

    Links are followed. A folder already under `path` is replaced: with a `kind` only when all that it holds is of that
    kind (else UsageError, before and after the block; not with `force`), without one in any case, for folders that
    nobody but fidtools writes to. A file there raises NotADirectoryError. Every process fills a folder of its own; the
    last to end wins.
    """
    target = final_path(path)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(target))
    if kind is not None:
        refuse_foreign(target, kind, force=force)
    target.parent.mkdir(parents=True, exist_ok=True)
    clear_abandoned(target)
    partial, lock = own_name(target, folder=True)
    try:
        with named_when_full(target, partial):
            yield partial
            if kind is not None:
                refuse_foreign(target, kind, force=force)  # files may have come while the block was running
            replace_folder(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def replace_folder(new: Path, target: Path) -> None:
    """Put the finished folder `new` in the place of `target`, which may exist and then gives it its mode and owner."""
    _sync_all(new)
    keep_attributes(target, new)
    old = name_beside(target, "old")
    while True:
        if target.exists():
            with contextlib.suppress(FileNotFoundError):
                os.rename(target, old)
        try:
            os.rename(new, target)
            break
        except OSError as error:  # another process put its folder there in between: replace that one
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(old, ignore_errors=True)
    for replaced in names_beside(target, "old"):
        shutil.rmtree(replaced, ignore_errors=True)


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            sync(path)


def sync(file: Path) -> None:
    """Flush a file to the disk: after a crash of the machine, no empty one may stand under the final name."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
