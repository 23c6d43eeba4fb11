"""JSON lines and JSON documents, read one object at a time and written atomically."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from typing import Any

import orjson

from fidtools.data.files import JSON_OPTIONS, PathLike, open_input, open_output
from fidtools.errors import DataError


def read_json(path: PathLike) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSON-lines file with their line numbers, one at a time.

    One big JSON list (as FiD and DPR write) is read too, incrementally; the number is then the element's, from 1.
    Raises DataError for malformed JSON, for a line that is no object, and for a truncated .gz.
    """
    with open_input(path) as stream:
        try:
            yield from _objects(stream, path)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"not a whole gzip file: {error}", path=path) from error


def _objects(stream: BufferedReader, path: PathLike) -> Iterator[tuple[int, dict[str, Any]]]:
    head, blank_lines = _skip_blank(stream)
    if head == b"[":
        yield from _list_elements(stream, path)
        return
    for number, line in enumerate(stream, 1 + blank_lines):
        if line.strip():
            yield number, parse_line(line, path, number)


def _skip_blank(stream: BufferedReader) -> tuple[bytes, int]:
    """The next byte that is neither white space nor part of a byte-order mark (left unread), and the lines skipped."""
    lines = 0
    while (head := stream.peek(1)[:1]) and head in b" \t\r\n\xef\xbb\xbf":
        lines += head == b"\n"
        stream.read(1)
    return head, lines


def parse_line(line: bytes, path: PathLike, number: int) -> dict[str, Any]:
    """The JSON object of one line. Raises DataError when it is malformed or no object."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(
            f"malformed JSON: {error}", path=path, line=number, value=line.decode("utf-8", "replace").strip()
        ) from error
    if not isinstance(value, dict):
        raise DataError("expected a JSON object", path=path, line=number, value=value)
    return value


def _list_elements(stream: BufferedReader, path: PathLike) -> Iterator[tuple[int, dict[str, Any]]]:
    import ijson

    number = 0
    try:
        for number, value in enumerate(ijson.items(stream, "item", use_float=True), 1):
            if not isinstance(value, dict):
                raise DataError("expected a JSON object", path=path, line=number, value=value)
            yield number, value
    except ijson.JSONError as error:
        raise DataError(f"malformed JSON list after element {number}: {error}", path=path) from error


def write_json(path: PathLike, value: Any) -> None:
    """One JSON document, indented, whole or not at all."""
    with open_output(path) as out:
        out.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | JSON_OPTIONS))


def write_lines(path: PathLike, values: Iterable[Any]) -> int:
    """Every value as a line of JSON; returns how many."""
    count = 0
    with open_output(path) as out:
        for count, value in enumerate(values, 1):  # noqa: B007
            out.line(value)
    return count
