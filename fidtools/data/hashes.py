"""Numbers drawn by a seed; SHA-256 of files and folders, so that what a result was made from is compared by content."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from fidtools.data.files import PathLike


def seeded_hash(seed: int, text: str) -> int:
    """A number of 64 bits drawn by a seed and a text: the same on every machine."""
    digest = hashlib.blake2b(f"{seed}\0{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def file_sha256(path: PathLike) -> str:
    """The hash of a file's bytes. A file that has not changed since this process read it is not read again."""
    found = os.stat(path)
    return _file_sha256(os.path.realpath(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@functools.lru_cache(maxsize=256)
def _file_sha256(path: str, size: int, mtime_ns: int, ctime_ns: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_sha256(folder: PathLike, without: Iterable[str] = ()) -> str:
    """The hash of the names and bytes of all files in a folder, but for relative paths that match a pattern."""
    digest, skipped = hashlib.sha256(), tuple(without)
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(fnmatchcase(name, pattern) for pattern in skipped):
            digest.update(f"{file_sha256(path)} {name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
