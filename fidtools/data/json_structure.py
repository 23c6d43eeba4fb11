"""Where the lists and objects of a JSON document begin and end, found in its bytes without parsing them.

A list as large as a corpus is cut into its elements, and a parser that keeps the path to each value is protected from
documents that are nested so deeply that these paths fill the memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

MAX_DEPTH = 250  # orjson writes 254 levels
MAX_RECORD_BYTES = 1 << 28
CHUNK = 1 << 16
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BETWEEN_MARKS = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+", re.DOTALL)
_BETWEEN_ELEMENTS = re.compile(rb'(?:[^"\[\]{},]++|' + _STRING + rb")*+", re.DOTALL)
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
QUOTE, COMMA, BACKSLASH = b'",\\'
OPENING, CLOSING = b"[{", b"]}"


class TooDeep(ValueError):
    """A document is nested more than MAX_DEPTH levels deep."""


class JsonStructure:
    """The brackets outside strings, in chunks of bytes that follow each other. `depth` is the number of open ones."""

    def __init__(self) -> None:
        self.depth = 0
        self._in_string = self._escaped = False

    def marks(self, chunk: bytes) -> Iterator[tuple[int, int]]:
        """Position and byte of every bracket, and of the commas between the elements of the outermost list or object.

        `depth` is then the depth after the bracket. Raises TooDeep beyond MAX_DEPTH.
        """
        at = self._end_of_string(chunk, 0) if self._in_string else 0
        while at < len(chunk):
            pattern = _BETWEEN_MARKS if self.depth > 1 else _BETWEEN_ELEMENTS
            end = pattern.match(chunk, at).end()  # type: ignore[union-attr]
            if end == len(chunk):
                return
            if chunk[end] == QUOTE:  # a string that the chunk does not end
                self._in_string = True
                at = self._end_of_string(chunk, end + 1)
                continue
            self.depth += (chunk[end] in OPENING) - (chunk[end] in CLOSING)
            if self.depth > MAX_DEPTH:
                raise TooDeep(f"nested more than {MAX_DEPTH} levels deep")
            yield end, chunk[end]
            at = end + 1

    def _end_of_string(self, chunk: bytes, at: int) -> int:
        """The position after the open string, or the end of the chunk when the string goes on."""
        at += self._escaped
        end = _IN_STRING.match(chunk, at).end() if at < len(chunk) else at  # type: ignore[union-attr]
        self._escaped = end < len(chunk) and chunk[end] == BACKSLASH
        self._in_string = end >= len(chunk) or self._escaped
        return len(chunk) if self._in_string else end + 1


def list_elements(stream: IO[bytes]) -> Iterator[bytes]:
    """The elements of the JSON list in `stream`, as bytes. Raises ValueError where they cannot be told apart."""
    structure, parts, size, count = JsonStructure(), list[bytes](), 0, 0
    while chunk := stream.read(CHUNK):
        start = 0
        for at, mark in structure.marks(chunk):
            if structure.depth == 1 and mark in OPENING:
                start = at + 1
            elif structure.depth == 0 or (structure.depth == 1 and mark == COMMA):
                element = b"".join([*parts, chunk[start:at]])
                if element.strip():
                    yield element
                elif count or structure.depth:
                    raise ValueError("a value is missing")
                if structure.depth == 0:
                    _refuse_more(chunk[at + 1 :], stream)
                    return
                parts, size, start, count = [], 0, at + 1, count + 1
        parts.append(chunk[start:])
        size += len(parts[-1])
        if size > MAX_RECORD_BYTES:
            raise ValueError(f"an element of more than {MAX_RECORD_BYTES >> 20} MiB")
    raise ValueError("the list does not end")


def _refuse_more(rest: bytes, stream: IO[bytes]) -> None:
    while not rest.strip():
        rest = stream.read(CHUNK)
        if not rest:
            return
    raise ValueError("the list is followed by more")


class ShallowJson:
    """The bytes of a JSON document without a byte-order mark. `read` raises TooDeep where it is nested too deeply."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._structure, self._is_begun = stream, JsonStructure(), False

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        chunk = self._stream.read(size)
        if chunk and not self._is_begun:
            self._is_begun, chunk = True, chunk.removeprefix(BYTE_ORDER_MARK)
        for _ in self._structure.marks(chunk):
            pass
        return chunk
