"""DPR's passages of Wikipedia (20 December 2018), unpacked once: other tools read the table from the middle."""

from __future__ import annotations

import gzip
import shutil
import zlib
from pathlib import Path

from fidtools.data.files import atomic_path
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.writer import Draft
from fidtools.errors import DataError
from fidtools.logs import log

ARCHIVE = "psgs_w100.tsv.gz"
PASSAGES = 21_015_324
BLOCK = 1 << 22


def take_passages(downloads: Downloads, draft: Draft) -> None:
    """Put `psgs_w100.tsv` into the folder; the data sets that share the downloads share the one file on disk."""
    table = downloads.path(ARCHIVE).with_suffix("")
    if not table.exists():
        log.info("unpacking %s", table)
        unpack(downloads.path(ARCHIVE), table)
    draft.link(table)
    draft.card.passages = count_rows(table) - 1
    if draft.card.passages != PASSAGES:
        log.warning("%s passages; the published file has %s", f"{draft.card.passages:,}", f"{PASSAGES:,}")


def unpack(archive: Path, target: Path) -> None:
    """Decompress a .gz, whole or not at all. Raises DataError when it is cut or no gzip."""
    try:
        with atomic_path(target) as partial, gzip.open(archive) as packed, open(partial, "wb") as out:
            shutil.copyfileobj(packed, out, BLOCK)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"not a whole gzip file: {error}", path=archive, hint="remove it, and fetch it again"
        ) from error


def count_rows(table: Path) -> int:
    """The lines of a file."""
    with open(table, "rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(BLOCK), b""))
