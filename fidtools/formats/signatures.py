"""Files that have none of our formats, named by their first bytes."""

from __future__ import annotations

import os

from fidtools.compute.weight_files import LFS_POINTER
from fidtools.data.gzip_names import is_gzip
from fidtools.errors import shorten
from fidtools.formats.head import Head

PARQUET = b"PAR1"
"""How a Parquet file begins and ends."""
SIGNATURES = (
    (b"%PDF-", "a PDF document"),
    (b"\x93NUMPY", "a numpy array (.npy)"),
    (b"\x1f\x8b", "compressed by gzip; its name must end in .gz"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (
        PARQUET,
        "a Parquet table; `convert` reads columns `question`, `text` or of vectors, with the extra `export`",
    ),
    (b"ARROW1", "an Arrow table"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xff\xfe", "UTF-16 text; UTF-8 is needed"),
    (b"\xfe\xff", "UTF-16 text; UTF-8 is needed"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (LFS_POINTER, "a pointer of Git LFS, not the file itself"),
    (b"<!DOCTYPE", "a page of HTML"),
    (b"<html", "a page of HTML"),
    (b"<?xml", "an XML document"),
    (b"{\\rtf", "an RTF document; `chunk` reads it once it is saved as .docx or .txt"),
    (b"\xd0\xcf\x11\xe0", "a document of an older Office (.doc, .xls); save it in its newer form"),
)
ZIP = b"PK\x03\x04"
"""How a zip archive begins."""
ZIPPED = (
    (b"mimetypeapplication/epub+zip", "an EPUB book; `chunk` reads it once it is converted to .html or .txt"),
    (b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "a spreadsheet (.ods); save it as CSV in UTF-8"),
    (b"mimetypeapplication/vnd.oasis", "an OpenDocument file; `chunk` reads it once it is saved as .docx or .txt"),
    (b"xl/work", "an Excel workbook (.xlsx); save it as CSV in UTF-8"),
    (b"ppt/pres", "a PowerPoint presentation; `chunk` reads it once it is saved as .pdf"),
    (b"word/document.", "a Word document; `chunk` makes passages of it where its name ends in .docx"),
    (b"/data.pkl", "a PyTorch checkpoint"),
    (b".npy", "numpy arrays (.npz)"),
    (ZIP, "a zip archive; unpack it, and give a file that was in it"),
)
"""What a zip archive is, by the names of files in it, which are not compressed."""
DELIMITERS = ("\t", ",", ";")
MOST_NAMES = 200
"""Characters of the columns' names in a message."""


def table_columns(head: Head, delimiter: str) -> frozenset[str]:
    """The names in the first row of a table, in lower case; none for JSON and what else is no table by its rows."""
    rows = [] if head.start or not head.lines else head.rows(delimiter)
    by_name = head.name.endswith((".csv", ".tsv"))
    if not rows or not (by_name or (len(rows[0]) > 1 and _is_even(rows))):
        return frozenset()
    return frozenset(cell.strip().lower() for cell in rows[0]) - {""}


def _is_even(rows: list[list[str]]) -> bool:
    """Whether there are at least two rows, all of one width."""
    return len(rows) > 1 and len({len(row) for row in rows}) == 1


def _is_cut_off(head: Head) -> bool:
    """Whether a Parquet file lacks its end. What is compressed or no file is not looked at."""
    if is_gzip(head.path) or not head.path.is_file():
        return False
    with head.path.open("rb") as file:
        file.seek(-len(PARQUET), os.SEEK_END)
        return file.read() != PARQUET


def is_tar(head: Head) -> bool:
    """Whether the name of a file says that it is a tar archive, compressed by gzip or not."""
    return head.path.name.endswith((".tgz", ".tar.gz", ".tar")) and head.path.is_file()


def describe(head: Head) -> str | None:
    """What the first bytes say about a file that has none of our formats; None when they say nothing."""
    data = head.data.lstrip() or head.data
    if not head.data.strip():
        return None
    if is_tar(head):
        return "a tar archive; unpack it, and give a file that was in it"
    if head.data.startswith(PARQUET) and _is_cut_off(head):
        return "a Parquet table whose end is missing"
    if head.data.startswith(ZIP):
        return next(description for name, description in ZIPPED if name in head.data)
    for signature, description in SIGNATURES:
        if head.data.startswith(signature) or data[: len(signature)].lower() == signature.lower():
            return description
    if b"\0" in head.data[:1024]:
        return "a binary file"
    if not head.start and b"\r" in data and b"\n" not in data:
        return "text whose lines end in carriage returns; line feeds are needed"
    if data and not head.lines and not head.is_cut:
        return "text that is not UTF-8, such as Latin-1; `iconv -f CP1252 -t UTF-8 old > new` converts it"
    if not head.start and any(len(row) > 1 for sign in DELIMITERS if _is_even(rows := head.rows(sign)) for row in rows):
        return f"a table whose first row names no column `question` or `text`: {shorten(head.lines[0], MOST_NAMES)}"
    if head.lines and not head.start and "," in head.lines[0]:
        return "a CSV table (or other text)"
    return None
