"""Lines, table rows and parts of a JSON document, one at a time; whatever is wrong with a file is a DataError."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

import ijson

from fidtools.data.files import PathLike, open_input
from fidtools.errors import DataError

LONGEST_FIELD = 1 << 24
BOM = "\ufeff"


@contextlib.contextmanager
def opened(path: PathLike) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed; what goes wrong while they are read is a DataError about it."""
    try:
        with open_input(path) as stream:
            yield cast(IO[bytes], stream)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"not a whole gzip file: {error}", path=path) from error
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text: {error}", path=path) from error
    except csv.Error as error:
        raise DataError(f"malformed table: {error}", path=path) from error
    except ijson.JSONError as error:
        raise DataError(f"malformed JSON: {error}", path=path) from error


def lines(path: PathLike) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers. Only a line feed ends one (U+0085 and its like do not)."""
    with opened(path) as stream:
        for number, raw in enumerate(stream, 1):
            line = raw.decode().rstrip("\r\n")
            if number == 1:
                line = line.removeprefix(BOM)
            if line.strip():
                yield number, line


def rows(path: PathLike, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table with CSV quoting, with their numbers."""
    csv.field_size_limit(LONGEST_FIELD)
    with opened(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        try:
            yield from ((n, row) for n, row in enumerate(csv.reader(text, delimiter=delimiter), 1) if row)
        finally:
            text.detach()


def records(path: PathLike, delimiter: str, header: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table whose first one names the columns, which must hold `header`."""
    found = rows(path, delimiter)
    _, names = next(found, (0, []))
    if missing := [name for name in header if name not in names]:
        raise DataError(f"the first row does not name the columns {', '.join(missing)}", path=path, line=1, value=names)
    for number, row in found:
        if len(row) != len(names):
            raise DataError(f"expected {len(names)} columns, found {len(row)}", path=path, line=number)
        yield number, dict(zip(names, row, strict=True))


def items(path: PathLike, prefix: str) -> Iterator[tuple[int, Any]]:
    """The values under `prefix` of one JSON document (ijson's notation), parsed one at a time, with their numbers."""
    with opened(path) as stream:
        yield from enumerate(ijson.items(stream, prefix, use_float=True), 1)


def members(path: PathLike) -> Iterator[tuple[int, str, Any]]:
    """The members of one big JSON object, one at a time: number, key, value."""
    with opened(path) as stream:
        for number, (key, value) in enumerate(ijson.kvitems(stream, "", use_float=True), 1):
            yield number, key, value
