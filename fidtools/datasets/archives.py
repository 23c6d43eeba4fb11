"""Files inside archives, read where they are: nothing is unpacked to disk, so no name in an archive can do harm."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from fidtools.errors import DataError

BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)


def members(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a .zip or .tar (compressed or not) that match `pattern` (`wiki-pages/*.jsonl`), with their bytes.

    Each is to be read before the next is asked for. Folders, links and resource forks of macOS are passed over.
    Raises DataError for an archive that is not whole.
    """
    try:
        yield from _zipped(archive, pattern) if archive.suffix == ".zip" else _tarred(archive, pattern)
    except BROKEN as error:
        raise DataError(f"not a whole archive: {error}", path=archive, hint="remove it, and fetch it again") from error


def _zipped(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as zipped:
        for member in sorted(zipped.infolist(), key=lambda info: info.filename):
            if not member.is_dir() and _wanted(member.filename, pattern):
                with zipped.open(member) as stream:
                    yield member.filename, stream


def _tarred(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive) as tarred:
        for member in tarred:
            if member.isfile() and _wanted(member.name, pattern):
                stream = tarred.extractfile(member)
                assert stream is not None  # a regular file has bytes
                yield member.name, stream


def _wanted(name: str, pattern: str) -> bool:
    path = PurePosixPath(name)
    return path.match(pattern) and "__MACOSX" not in path.parts and not path.name.startswith("._")


@contextmanager
def member(archive: Path, pattern: str) -> Iterator[IO[bytes]]:
    """The one file of the archive that matches. Raises DataError when there is none."""
    found = members(archive, pattern)
    try:
        _, stream = next(found, (None, None))
        if stream is None:
            raise DataError(f"no {pattern} in it", path=archive)
        yield stream
    except BROKEN as error:
        raise DataError(f"not a whole archive: {error}", path=archive, hint="remove it, and fetch it again") from error
    finally:
        found.close()  # type: ignore[attr-defined]
