"""A check of tantivy's `.store` files, which it opens with every index: a wrong size in one makes Rust end the process.

A file ends with
    the index of its blocks | version u32 | where that begins u64 | 16 bytes | JSON | bytes of JSON u32 | magic u32
and the index of blocks begins with the number of its layers, of which each takes a byte at least. It is written in
pieces of seven bits; the last byte is above 127.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from fidtools.errors import DataError

PLACE, END = struct.Struct("<IQ16x"), struct.Struct("<II")
MAGIC = 1337
MOST_BYTES = 10  # of the number of layers


def check_stores(folder: Path) -> None:
    """Raise DataError where a `.store` file says that it has more layers than bytes."""
    for path in sorted(folder.glob("*.store")):
        with open(path, "rb") as file:
            if not _is_sound(file, path.stat().st_size):
                hint = "remove the index; it is built again then"
                raise DataError("damaged: it has more layers than bytes", path=path, hint=hint)


def _is_sound(file: BinaryIO, size: int) -> bool:
    if size < END.size:
        return False
    length, magic = END.unpack(_read(file, size - END.size, END.size))
    stop: int = size - END.size - length - PLACE.size
    if magic != MAGIC or stop < 0:
        return False
    start: int = PLACE.unpack(_read(file, stop, PLACE.size))[1]
    layers = 0
    for place, byte in enumerate(_read(file, start, MOST_BYTES) if start < stop else b""):
        layers |= (byte & 127) << 7 * place
        if byte > 127:
            return layers < stop - start - place
    return False


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
