"""DPR's passages of Wikipedia (20 December 2018), unpacked once, as other commands need random access."""

from __future__ import annotations

import gzip
import shutil
import zlib
from pathlib import Path

from fidtools.data.files import atomic_path
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.writer import DatasetWriter
from fidtools.errors import DataError
from fidtools.logs import log

ARCHIVE = "psgs_w100.tsv.gz"
PASSAGES = 21_015_324
BLOCK = 1 << 22


def take_passages(downloads: Downloads, writer: DatasetWriter) -> None:
    """Put `psgs_w100.tsv` into the folder; data sets that share the downloads share this file on disk."""
    table = downloads.path(ARCHIVE).with_suffix("")
    if not table.exists():
        log.info("unpacking %s", table)
        unpack(downloads.path(ARCHIVE), table)
    writer.link(table)
    writer.info.passages = count_lines(table) - 1
    if writer.info.passages != PASSAGES:
        log.warning("%s passages; the published file has %s", f"{writer.info.passages:,}", f"{PASSAGES:,}")


def unpack(archive: Path, target: Path) -> None:
    """Decompress a .gz atomically. Raises DataError for a truncated or corrupt file."""
    try:
        with atomic_path(target) as partial, gzip.open(archive) as packed, open(partial, "wb") as out:
            shutil.copyfileobj(packed, out, BLOCK)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"truncated or corrupt gzip file: {error}", path=archive, hint="remove it and fetch it again"
        ) from error


def count_lines(table: Path) -> int:
    """The number of lines of a file."""
    with open(table, "rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(BLOCK), b""))
