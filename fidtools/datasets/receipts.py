"""The record of a folder of downloads: where each file came from, its size and its hash."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from fidtools.data.hashes import file_sha256
from fidtools.data.jsonl import write_json
from fidtools.datasets.urls import Download
from fidtools.errors import DataError
from fidtools.logs import log

RECORD_FILE = "downloads.json"


@dataclass(frozen=True)
class Receipt:
    """The record of a downloaded file. While size and `mtime_ns` are unchanged, the file is not hashed again."""

    url: str
    size: int
    sha256: str
    mtime_ns: int


@dataclass
class Receipts:
    """The receipts of a folder's files by name, kept in its `downloads.json`."""

    folder: Path
    files: dict[str, Receipt]

    @classmethod
    def of(cls, folder: Path) -> Receipts:
        """The receipts of a folder. Raises DataError for a malformed `downloads.json`."""
        path = folder / RECORD_FILE
        if not path.exists():
            return cls(folder, {})
        try:
            entries = orjson.loads(path.read_bytes()).items()
            return cls(folder, {name: Receipt(**entry) for name, entry in entries})
        except (orjson.JSONDecodeError, TypeError, AttributeError) as error:
            raise DataError(f"not a record of downloads: {error}", path=path, hint="remove it") from error

    @property
    def path(self) -> Path:
        """The file of the receipts."""
        return self.folder / RECORD_FILE

    def verify(self, source: Download) -> None:
        """Check a present file against the published or recorded hash, and record it.

        Raises DataError when it is not the expected file.
        """
        path, stat = self.folder / source.name, (self.folder / source.name).stat()
        receipt = self.files.get(source.name)
        if receipt is not None and (receipt.size, receipt.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            sha256 = receipt.sha256
        else:
            log.info("checking %s", path)
            sha256 = file_sha256(path)
        if source.sha256 not in (None, sha256) or source.size not in (None, stat.st_size):
            found = f"{stat.st_size:,} bytes with SHA-256 {sha256}"
            problem = f"not the expected file: {found}, expected {size_and_hash(source)}"
            raise DataError(problem, path=path, hint="remove it and fetch it again")
        self.record(source, sha256)

    def record(self, source: Download, sha256: str) -> None:
        """Write down what the present file is."""
        stat = (self.folder / source.name).stat()
        receipt = Receipt(source.url, stat.st_size, sha256, stat.st_mtime_ns)
        if self.files.get(source.name) != receipt:
            self.files[source.name] = receipt
            write_json(self.path, {name: asdict(entry) for name, entry in sorted(self.files.items())})


def size_and_hash(source: Download) -> str:
    """The expected size and hash, in words."""
    size = f"{source.size:,} bytes" if source.size is not None else "size not published"
    return f"{size}, SHA-256 {source.sha256}" if source.sha256 is not None else size


def human_size(size: int) -> str:
    """A number of bytes with a unit."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
