"""How much the weight files of a model folder hold, without reading the weights."""

from __future__ import annotations

import math
from pathlib import Path

import orjson

MAX_HEADER = 100_000_000
"""Bytes of a safetensors file's header, as the library allows."""
BYTES_PER_TENSOR = 64
"""A pickle takes more than this for a tensor's name and place."""


def count_weights(folder: Path) -> tuple[int, int]:
    """The number of tensors and of their elements in a folder's files; for pickles, upper bounds from their size.

    Raises ValueError when there are none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if files:
        shapes = [shape for file in files for shape in _shapes(file)]
        return len(shapes), sum(math.prod(shape) for shape in shapes)
    size = sum(file.stat().st_size for file in folder.glob("*.bin"))
    if size == 0:
        raise ValueError("no weights in it: neither model.safetensors nor pytorch_model.bin")
    return size // BYTES_PER_TENSOR, size


def _shapes(file: Path) -> list[list[int]]:
    """The shapes of the tensors in a safetensors file. Raises ValueError when its header cannot be read."""
    with open(file, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 0 < length <= min(MAX_HEADER, file.stat().st_size):
            raise ValueError(f"{file.name} is truncated or no safetensors file")
        header = orjson.loads(stream.read(length))
    return [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
