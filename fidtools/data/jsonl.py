"""JSON lines and JSON documents, read one object at a time and written complete or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, AnyStr

import orjson

from fidtools.data.files import JSON_OPTIONS, PathLike, open_data, open_output
from fidtools.data.json_structure import BYTE_ORDER_MARK, MAX_DEPTH, MAX_RECORD_BYTES, list_elements
from fidtools.errors import DataError, shorten

DIGITS_AS_ZERO = bytes(ord("0") if chr(byte).isdigit() else ord(" ") for byte in range(128)) + b" " * 128
_PLACE = re.compile(r": line \d+ column \d+ \(char (\d+)\)$")  # within the line of a file, whose number is another
_NAME_END = re.compile(rb'"[ \t\r\n]*:')
LONG_INTEGER = b"0" * 19  # 2 ** 63 has 19 digits


def read_json(path: PathLike, skip: Callable[[DataError], None] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSON-lines file with their line numbers, one at a time.

    A single JSON list (as FiD and DPR write) is read too, incrementally; the number is then the element's, from 1.
    Raises DataError for malformed JSON, for a line that is not an object, for numbers and nesting that could not be
    written again (see `parse_json`), and for a truncated .gz. With `skip`, that is called with the error of a bad line
    instead, and reading goes on after it.
    """
    with open_data(path) as stream:
        head, blank_lines = _skip_blank(stream)
        if head == b"[":
            yield from _list_elements(stream, path)
            return
        for number, line in enumerate(bounded_lines(stream, path), 1 + blank_lines):
            if not line.strip():
                continue
            try:
                record = parse_line(line, path, number)
            except DataError as error:
                if skip is None:
                    raise
                skip(error)
            else:
                yield number, record


def read_json_object(path: PathLike) -> dict[str, Any]:
    """The one JSON object that a file holds. Raises DataError when it is malformed or not an object."""
    with open_data(path) as stream:
        return parse_line(read_bounded(stream, path).removeprefix(BYTE_ORDER_MARK), path, None)


def kept_object(path: PathLike) -> dict[str, Any]:
    """The JSON object in a file that fidtools keeps for itself; empty where there is no file, or no object in it."""
    try:
        found = orjson.loads(Path(path).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def bounded_lines(stream: IO[AnyStr], path: PathLike) -> Iterator[AnyStr]:
    """The lines of a file. Raises DataError for one that does not end, as a small .gz may hold."""
    number = 0
    while line := stream.readline(MAX_RECORD_BYTES):
        number += 1
        if len(line) == MAX_RECORD_BYTES:
            raise DataError(f"a line of more than {MAX_RECORD_BYTES >> 20} MiB", path=path, line=number)
        yield line


def read_bounded(stream: IO[bytes], path: PathLike) -> bytes:
    """All bytes of a file. Raises DataError for one that is too large to be held in memory."""
    data = stream.read(MAX_RECORD_BYTES + 1)
    if len(data) > MAX_RECORD_BYTES:
        raise DataError(f"more than {MAX_RECORD_BYTES >> 20} MiB in one record", path=path)
    return data


def _skip_blank(stream: BufferedReader) -> tuple[bytes, int]:
    """The next byte that is neither white space nor part of a byte-order mark (left unread), and the lines skipped."""
    lines = 0
    while (head := stream.peek(1)[:1]) and head in b" \t\r\n\xef\xbb\xbf":
        lines += head == b"\n"
        stream.read(1)
    return head, lines


def parse_line(text: bytes, path: PathLike, line: int | None) -> dict[str, Any]:
    """The JSON object of one line, or (None) of a file. Raises DataError when it is malformed or not an object."""
    try:
        value = parse_json(text)
    except ValueError as error:
        shown = text[:1000].decode("utf-8", "replace").strip()
        reason = str(error) if line is None else _PLACE.sub(r" at character \1", str(error))
        raise DataError(f"malformed JSON: {reason}", path=path, line=line, value=shown) from error
    if not isinstance(value, dict):
        raise DataError("expected a JSON object", path=path, line=line, value=value)
    return value


def parse_json(text: bytes) -> Any:
    """The value in `text`. Raises ValueError when it is malformed, and for what cannot be written again.

    That is an integer beyond 64 bits (orjson reads it as a float, another number), more levels than MAX_DEPTH, and an
    object with two values of one name (orjson keeps the last).
    """
    value = orjson.loads(text)
    if LONG_INTEGER in text.translate(DIGITS_AS_ZERO):
        json.loads(text, parse_int=_checked_integer)
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        require_writable(value)
    if len(_NAME_END.findall(text)) > _count_names(value):  # texts may hold such characters, too
        json.loads(text, object_pairs_hook=_distinct_names)
    return value


def _count_names(value: Any) -> int:
    """How many names the objects in a value have, each with its own."""
    if not isinstance(value, dict | list):
        return 0
    own, inner = (len(value), value.values()) if isinstance(value, dict) else (0, value)
    return own + sum(_count_names(item) for item in inner if isinstance(item, dict | list))


def _distinct_names(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise ValueError(f"an object has two values of the name {shorten(name)!r}")
        names.add(name)


def _checked_integer(digits: str) -> int:
    if len(digits) > 20 or not -(1 << 63) <= int(digits) < 1 << 64:
        raise ValueError(f"the integer {digits[:20]}{'…' * (len(digits) > 20)} has more than 64 bits")
    return int(digits)


def require_writable(value: Any) -> None:
    """Raises ValueError for a value that orjson cannot write: too deep, an integer beyond 64 bits, half a character."""
    try:
        orjson.dumps([[[[value]]]])  # records are written inside of other values
    except TypeError as error:
        problem = str(error).replace("Recursion limit reached", f"nested more than {MAX_DEPTH} levels deep")
        raise ValueError(problem) from error


def _list_elements(stream: BufferedReader, path: PathLike) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        for number, element in enumerate(list_elements(stream), 1):
            yield number, parse_line(element, path, number)
    except ValueError as error:
        raise DataError(f"malformed JSON list after element {number}: {error}", path=path) from error


def encodable(value: Any) -> Any:
    """The value as JSON can hold it: the bytes of a file name that is not UTF-8 are escaped in its strings."""
    if isinstance(value, str):
        return os.fsencode(value).decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {encodable(name): encodable(member) for name, member in value.items()}
    return [encodable(item) for item in value] if isinstance(value, list | tuple) else value


def as_read_back(value: Any) -> Any:
    """The value as JSON gives it back: to be compared with a record that was read."""
    return orjson.loads(orjson.dumps(encodable(value)))


def write_json(path: PathLike, value: Any) -> None:
    """Write one JSON document, indented. Names of files that are not UTF-8 are escaped."""
    option = orjson.OPT_INDENT_2 | JSON_OPTIONS
    try:
        document = orjson.dumps(value, option=option)
    except orjson.JSONEncodeError:
        document = orjson.dumps(encodable(value), option=option)
    with open_output(path) as out:
        out.write(document)


def write_lines(path: PathLike, values: Iterable[Any]) -> int:
    """Write every value as a line of JSON; returns how many there were."""
    count = 0
    with open_output(path) as out:
        for count, value in enumerate(values, 1):  # noqa: B007
            out.line(value)
    return count
