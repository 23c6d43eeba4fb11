"""Files inside archives, read where they are: nothing is unpacked to disk, so no name in an archive can do harm."""

from __future__ import annotations

import errno
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from fidtools.data.files import PathLike
from fidtools.errors import DataError

BLOCK = 1 << 16
MAX_NAME_BYTES = 1 << 20
NAME_TYPES = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError,
    ValueError, OverflowError, IndexError, KeyError, struct.error,
    NotImplementedError, RuntimeError,
)  # fmt: skip


@contextmanager
def archive_errors(path: PathLike) -> Iterator[None]:
    """Translate what tarfile, zipfile and their decompressors raise for a damaged archive into a DataError."""
    try:
        yield
    except DAMAGED as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # those two are about positions and bytes in the file
            raise
        raise _damaged(path, error) from error


def _damaged(path: PathLike, error: Exception) -> DataError:
    hint = "remove it and download it again"
    return DataError(f"truncated or corrupt archive: {error}", path=path, hint=hint)


class _TarInfo(tarfile.TarInfo):
    """A member of a .tar. Its long name, which tarfile reads as a whole, cannot fill the memory."""

    def _proc_member(self, tarred: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in NAME_TYPES and self.size > MAX_NAME_BYTES:
            raise tarfile.ReadError(f"a name of {self.size} bytes")
        return super()._proc_member(tarred)  # type: ignore[misc, no-any-return]


def members(archive: PathLike, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a .zip or .tar (compressed or not) that match `pattern` (`wiki-pages/*.jsonl`), with their bytes.

    Each must be read before the next is asked for. Folders, links and macOS' resource forks are skipped. Raises
    DataError for a truncated or corrupt archive, also while a file is read.
    """
    path = Path(archive)
    with archive_errors(path):
        for name, stream in _zip_members(path, pattern) if path.suffix == ".zip" else _tar_members(path, pattern):
            yield name, io.BufferedReader(_Member(stream, path), BLOCK)


@contextmanager
def member(archive: PathLike, pattern: str) -> Iterator[IO[bytes]]:
    """The one file of the archive that matches. Raises DataError when there is none."""
    found = members(archive, pattern)
    try:
        _, stream = next(found, (None, None))
        if stream is None:
            raise DataError(f"contains no {pattern}", path=archive)
        yield stream
    finally:
        found.close()  # type: ignore[attr-defined]


class _Member(io.RawIOBase):
    """A file of an archive that raises DataError where the archive is damaged."""

    def __init__(self, stream: IO[bytes], archive: Path) -> None:
        self._stream, self._archive = stream, archive

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with archive_errors(self._archive):
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _zip_members(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as zipped:
        for info in sorted(zipped.infolist(), key=lambda info: info.filename):
            if not info.is_dir() and _is_wanted(info.filename, pattern):
                with zipped.open(info) as stream:
                    yield info.filename, stream


def _tar_members(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive, tarinfo=_TarInfo) as tarred:
        for info in tarred:
            if info.isfile() and _is_wanted(info.name, pattern):
                stream = tarred.extractfile(info)
                assert stream is not None  # a regular file has bytes
                yield info.name, stream


def _is_wanted(name: str, pattern: str) -> bool:
    path = PurePosixPath(name)
    return path.match(pattern) and "__MACOSX" not in path.parts and not path.name.startswith("._")
