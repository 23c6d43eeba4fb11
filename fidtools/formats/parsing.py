"""Lines, rows and parts of a JSON document, one at a time; whatever is wrong with a file is a DataError."""

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
from fidtools.data.json_structure import ShallowJson, TooDeep
from fidtools.data.jsonl import bounded_lines, require_writable
from fidtools.data.number_text import integer_of
from fidtools.data.records import Location
from fidtools.errors import DataError
from fidtools.formats.detection import is_header, split_columns
from fidtools.formats.head import SEPARATOR_LINE

MAX_FIELD_LENGTH = 1 << 24
BOM = "\ufeff"
QUOTES = 'a cell that begins with a double quote needs one at its end, and "" for each one inside'


@contextlib.contextmanager
def checked_input(path: PathLike) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed. Whatever goes wrong while they are parsed becomes a DataError about it."""
    with parse_errors(path), open_input(path) as stream:
        yield cast(IO[bytes], stream)


@contextlib.contextmanager
def parse_errors(path: PathLike) -> Iterator[None]:
    """Translate the errors of decompression and parsing into a DataError about `path`."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"truncated or corrupt gzip file: {error}", path=path) from error
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text: {error}", path=path) from error
    except csv.Error as error:
        raise DataError(f"malformed table: {error}", path=path) from error
    except (ijson.JSONError, TooDeep) as error:
        text = error.args[0] if error.args else error  # ijson gives bytes of several lines
        reason = (text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)).partition("\n")[0]
        raise DataError(f"malformed JSON: {reason}", path=path) from error


def read_lines(path: PathLike) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers. Only a line feed ends one (U+0085 and its like do not)."""
    with checked_input(path) as stream:
        for number, raw in enumerate(bounded_lines(stream, path), 1):
            line = raw.decode().rstrip("\r\n")
            if number == 1:
                line = line.removeprefix(BOM)
            if line.strip():
                yield number, line


def read_columns(path: PathLike, width: int, *, or_more: bool = False) -> Iterator[tuple[list[str], Location]]:
    """The lines split by `split_columns`, but for a header. Raises DataError for a line without `width` columns.

    With `or_more`, further columns are ignored, as in trec_eval.
    """
    for number, line in read_lines(path):
        where = Location(path, number)
        if "\r" in line:
            hint = "lines must end in line feeds: tr '\\r' '\\n' < old > new"
            raise where.error("a carriage return in the middle", "line", line, hint)
        cells = split_columns(line, width)
        if number == 1 and is_header(cells):
            continue
        if len(cells) != width and not (or_more and len(cells) > width):
            raise where.error(f"expected {width} columns, found {len(cells)}", "line", line)
        yield cells, where


def read_rows(path: PathLike, delimiter: str, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table with CSV quoting, except empty ones, each with the number of the line on which it begins.

    A quote at the start of a cell that none ends takes all that follows into the cell; `strict` makes it a DataError.
    """
    csv.field_size_limit(MAX_FIELD_LENGTH)
    with checked_input(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        try:
            rows = csv.reader(_lines_of_table(text, path), delimiter=delimiter, strict=strict)
            line = 1
            for row in rows:
                if row:
                    yield line, row
                line = rows.line_num + 1
        except csv.Error as error:
            raise DataError(f"malformed table: {error}", path=path, line=rows.line_num, hint=QUOTES) from error
        finally:
            text.detach()


def _lines_of_table(text: IO[str], path: PathLike) -> Iterator[str]:
    """The lines of a table; one for Excel before it is left blank."""
    for number, line in enumerate(bounded_lines(text, path)):
        yield "\n" if number == 0 and SEPARATOR_LINE.fullmatch(line) else line


def read_records(path: PathLike, delimiter: str, header: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table as dictionaries, with their lines. The first row names the columns, `header` at least."""
    found = read_rows(path, delimiter)
    _, names = next(found, (0, []))
    if missing := [name for name in header if name not in names]:
        raise DataError(f"the first row does not name the columns {', '.join(missing)}", path=path, line=1, value=names)
    for number, row in found:
        if len(row) != len(names):
            raise DataError(f"expected {len(names)} columns, found {len(row)}", path=path, line=number)
        yield number, dict(zip(names, row, strict=True))


def read_json_items(path: PathLike, prefix: str) -> Iterator[tuple[int, Any]]:
    """The values under `prefix` of one JSON document (ijson's notation), parsed one at a time, with their numbers."""
    with checked_input(path) as stream:
        yield from json_items(stream, prefix, path)


def read_json_members(path: PathLike) -> Iterator[tuple[int, str, Any]]:
    """The members of one big JSON object, one at a time: number, key, value."""
    with checked_input(path) as stream:
        for number, (key, value) in enumerate(ijson.kvitems(_json_bytes(stream), "", use_float=True), 1):
            yield number, key, _writable(value, path, number)


def json_items(stream: IO[bytes], prefix: str, path: PathLike) -> Iterator[tuple[int, Any]]:
    """`read_json_items` of an open document; `path` names it in messages."""
    with parse_errors(path):
        for number, value in enumerate(ijson.items(_json_bytes(stream), prefix, use_float=True), 1):
            yield number, _writable(value, path, number)


def _json_bytes(stream: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], ShallowJson(stream))


def _writable(value: Any, path: PathLike, number: int) -> Any:
    try:
        require_writable(value)
    except ValueError as error:
        raise DataError(f"malformed JSON: {error}", path=path, line=number) from error
    return value


def require_text(cell: str, name: str, where: Location) -> str:
    """The cell. Raises DataError when it is blank."""
    if not cell.strip():
        raise where.error("must be a non-empty string", name, cell)
    return cell


def require_integer(cell: str, name: str, where: Location) -> int:
    """The integer in the cell, which tables of floats write as "1.0". Raises DataError when it is none."""
    try:
        return integer_of(cell)
    except ValueError as error:
        raise where.error("must be an integer", name, cell) from error
