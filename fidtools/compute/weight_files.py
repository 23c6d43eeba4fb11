"""How much the weight files of a model folder hold, without reading the weights."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import orjson

MAX_HEADER = 100_000_000
"""Bytes of a safetensors file's header, as the library allows."""
LFS_POINTER = b"version https://git-lfs"
FLOATS = {"F64", "F32", "F16", "BF16"}
BYTES_PER_TENSOR = 64
"""A pickle takes more than this for a tensor's name and place."""


def count_weights(folder: Path) -> tuple[int, int]:
    """The number of tensors and of their elements in a folder's files; for pickles, upper bounds from their size.

    Raises ValueError when there are none, and for files that are not whole or hold quantized weights.
    """
    files = sorted(folder.glob("*.safetensors"))
    for file in files or sorted(folder.glob("*.bin")):
        if is_pointer(file):
            raise ValueError(f"{file.name} is a pointer of Git LFS, not the weights: git lfs pull fetches them")
    if files:
        shapes = [shape for file in files for shape in _shapes(file)]
        return len(shapes), sum(math.prod(shape) for shape in shapes)
    if cut := [file.name for file in sorted(folder.glob("*.bin")) if _is_cut_off(file)]:
        raise ValueError(f"{cut[0]} is truncated")
    size = sum(file.stat().st_size for file in folder.glob("*.bin"))
    if size == 0:
        raise ValueError("no weights in it: neither model.safetensors nor pytorch_model.bin")
    for file in sorted(folder.glob("pytorch_model*.bin")):
        _refuse_quantized_pickle(file)
    return size // BYTES_PER_TENSOR, size


def is_pointer(path: Path) -> bool:
    """Whether a file is what Git LFS leaves in the place of one that was not fetched."""
    with open(path, "rb") as stream:
        return stream.read(len(LFS_POINTER)) == LFS_POINTER


def _is_cut_off(file: Path) -> bool:
    """Whether the end of a pickle is missing, which is an archive."""
    with open(file, "rb") as stream:
        return stream.read(2) == b"PK" and not zipfile.is_zipfile(file)


def _refuse_quantized_pickle(file: Path) -> None:
    """Raise ValueError for a pickle with integers as weights; only the types of its tensors are read."""
    import torch

    found = torch.load(file, map_location="meta", weights_only=True)
    for name, value in found.items() if isinstance(found, dict) else ():
        if isinstance(value, torch.Tensor) and not value.is_floating_point():
            _refuse_integers(name, file, str(value.dtype).removeprefix("torch."))


def _refuse_integers(name: str, file: Path, dtype: str) -> None:
    """Raise ValueError for a weight of integers: its scale is elsewhere, without which it is another weight."""
    if name.endswith(".weight"):
        raise ValueError(f"{name} in {file.name} is of type {dtype}: quantized weights are not read")


def _shapes(file: Path) -> list[list[int]]:
    """The shapes of the tensors in a safetensors file. Raises ValueError for a header that cannot be read."""
    with open(file, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 0 < length <= min(MAX_HEADER, file.stat().st_size):
            raise ValueError(f"{file.name} is truncated or no safetensors file")
        header = orjson.loads(stream.read(length))
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] not in FLOATS:
            _refuse_integers(name, file, entry["dtype"])
    return [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
