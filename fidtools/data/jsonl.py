"""JSON lines and JSON documents, read one object at a time and written complete or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BufferedReader
from typing import Any

import orjson

from fidtools.data.files import JSON_OPTIONS, PathLike, open_data, open_output
from fidtools.errors import DataError


def read_json(path: PathLike) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSON-lines file with their line numbers, one at a time.

    A single JSON list (as FiD and DPR write) is read too, incrementally; the number is then the element's, from 1.
    Raises DataError for malformed JSON, for a line that is not an object, and for a truncated .gz.
    """
    with open_data(path) as stream:
        head, blank_lines = _skip_blank(stream)
        if head == b"[":
            yield from _list_elements(stream, path)
            return
        for number, line in enumerate(stream, 1 + blank_lines):
            if line.strip():
                yield number, parse_line(line, path, number)


def read_json_object(path: PathLike) -> dict[str, Any]:
    """The one JSON object that a file holds. Raises DataError when it is malformed or not an object."""
    with open_data(path) as stream:
        return _parse_object(stream.read(), path, None)


def _skip_blank(stream: BufferedReader) -> tuple[bytes, int]:
    """The next byte that is neither white space nor part of a byte-order mark (left unread), and the lines skipped."""
    lines = 0
    while (head := stream.peek(1)[:1]) and head in b" \t\r\n\xef\xbb\xbf":
        lines += head == b"\n"
        stream.read(1)
    return head, lines


def parse_line(line: bytes, path: PathLike, number: int) -> dict[str, Any]:
    """The JSON object of one line. Raises DataError when it is malformed or not an object."""
    return _parse_object(line, path, number)


def _parse_object(text: bytes, path: PathLike, line: int | None) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        shown = text.decode("utf-8", "replace").strip()
        raise DataError(f"malformed JSON: {error}", path=path, line=line, value=shown) from error
    return _checked_object(value, path, line)


def _checked_object(value: Any, path: PathLike, line: int | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError("expected a JSON object", path=path, line=line, value=value)
    return value


def _list_elements(stream: BufferedReader, path: PathLike) -> Iterator[tuple[int, dict[str, Any]]]:
    import ijson

    number = 0
    try:
        for number, value in enumerate(ijson.items(stream, "item", use_float=True), 1):
            yield number, _checked_object(value, path, number)
    except ijson.JSONError as error:
        raise DataError(f"malformed JSON list after element {number}: {error}", path=path) from error


def write_json(path: PathLike, value: Any) -> None:
    """Write one JSON document, indented."""
    with open_output(path) as out:
        out.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | JSON_OPTIONS))


def write_lines(path: PathLike, values: Iterable[Any]) -> int:
    """Write every value as a line of JSON; returns how many there were."""
    count = 0
    with open_output(path) as out:
        for count, value in enumerate(values, 1):  # noqa: B007
            out.line(value)
    return count
