"""How embeddings store their numbers: float32, float16, int8 with a range per dimension, or one bit each.

The codes are those of sentence-transformers' `quantize_embeddings`: "int8" cuts the range of every dimension (its
minimum and maximum over a sample) into 256 bins, "binary" is numpy's `packbits(x > 0)`, which it calls "ubinary".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.errors import DataError, MismatchError, UsageError
from fidtools.typing import Array

DTYPES = ("float32", "float16", "int8", "binary")
BINS = 256
LOWEST_CODE = -128


@dataclass(frozen=True, eq=False)
class VectorType:
    """Vectors of `dim` numbers as they are stored. `ranges` (2 × dim, float32) are the minima and maxima of int8."""

    name: str
    dim: int
    ranges: Array | None = None

    def __post_init__(self) -> None:
        if self.name not in DTYPES:
            raise UsageError(f"embeddings are {', '.join(DTYPES)}, not {self.name}")
        if self.name == "binary" and self.dim % 8:
            hint = f"--dim {self.dim // 8 * 8}, or --dtype int8" if self.dim > 8 else "--dtype int8"
            raise UsageError(f"binary embeddings need a multiple of 8 dimensions, not {self.dim}", hint=hint)
        if (self.name == "int8") != (self.ranges is not None):
            raise UsageError("int8 embeddings, and only these, need the ranges of their dimensions")

    @property
    def is_float(self) -> bool:
        """Whether the numbers are stored as they are, but for rounding."""
        return self.name in ("float32", "float16")

    @property
    def array_type(self) -> np.dtype[Any]:
        """The type of the array in the .npy file."""
        return np.dtype("uint8" if self.name == "binary" else self.name)

    @property
    def columns(self) -> int:
        """The width of that array."""
        return self.dim // 8 if self.name == "binary" else self.dim

    @property
    def row_bytes(self) -> int:
        """The size of a vector."""
        return self.columns * self.array_type.itemsize

    def encode(self, vectors: Array) -> Array:
        """Float vectors (m × dim) as they are stored (m × columns). Numbers outside an int8 range are clipped to it."""
        if self.name == "binary":
            return np.packbits(vectors > 0, axis=-1)
        if self.ranges is None:
            with np.errstate(over="ignore"):  # the caller checks the result
                return np.ascontiguousarray(vectors, dtype=self.array_type)
        low, step = self._bins(constant=1.0)
        bins = np.clip(np.floor((vectors.astype(np.float32) - low) / step), 0, BINS - 1)
        return np.ascontiguousarray(bins + LOWEST_CODE, dtype=np.int8)

    def decode(self, stored: Array) -> Array:
        """Stored vectors (m × columns) as the floats (m × dim) that they stand for.

        An int8 code stands for the middle of its bin, a bit for ±1/√dim: such vectors have norm 1.
        """
        if self.name == "binary":
            bits = np.unpackbits(stored, axis=-1).astype(np.float32)
            return np.ascontiguousarray((2 * bits - 1) * np.float32(self.dim**-0.5))
        if self.ranges is None:
            return stored
        low, step = self._bins(constant=0.0)
        decoded: Array = low + step * (stored.astype(np.float32) - (LOWEST_CODE - np.float32(0.5)))
        return decoded

    def _bins(self, constant: float) -> tuple[Array, Array]:
        """The lowest number and the width of a bin of every dimension, `constant` where all numbers are the same."""
        assert self.ranges is not None, "only int8 has bins"
        low, high = self.ranges
        step = (high - low) / np.float32(BINS - 1)
        return low, np.where(step == 0, np.float32(constant), step)

    def meta(self) -> dict[str, Any]:
        """The entries of `X.json` that describe the type."""
        ranges = {} if self.ranges is None else {"ranges": self.ranges.tolist()}
        return {"dim": self.dim, "dtype": self.name} | ranges


def recorded_type(meta: dict[str, Any], stored: Array, path: Path, meta_path: Path) -> VectorType:
    """The type of the array `stored` in `path`, as `meta` (from `meta_path`) describes it.

    Raises MismatchError when the two differ, DataError when the description is incomplete.
    """
    dim, name = meta.get("dim"), meta.get("dtype", str(stored.dtype))
    if name not in DTYPES:
        raise DataError(f"must be one of {', '.join(DTYPES)}", path=meta_path, field="dtype", value=name)
    if not isinstance(dim, int) or isinstance(dim, bool) or dim < 1 or (name == "binary" and dim % 8):
        raise MismatchError(f"{stored.shape[1]} dim, but {meta_path} says {dim}", path=path)
    kind = VectorType(name, dim, _ranges(meta, dim, meta_path) if name == "int8" else None)
    if kind.array_type != stored.dtype:
        raise MismatchError(f"contains {stored.dtype}, but {meta_path} says {name}", path=path, hint="embed again")
    if kind.columns != stored.shape[1]:
        raise MismatchError(f"{stored.shape[1] * kind.dim // kind.columns} dim, but {meta_path} says {dim}", path=path)
    return kind


def _ranges(meta: dict[str, Any], dim: int, path: Path) -> Array:
    try:
        ranges = np.asarray(meta.get("ranges"), np.float32)
    except (TypeError, ValueError):
        ranges = np.empty(0, np.float32)
    if ranges.shape != (2, dim) or not np.isfinite(ranges).all() or (ranges[0] > ranges[1]).any():
        problem = f"must be the minima and the maxima of {dim} dimensions"
        raise DataError(problem, path=path, field="ranges", hint="embed again")
    return ranges


def fitted(asked: Array, dim: int, full_dim: int | None, *, normalize: bool) -> Array:
    """Questions (m × d) as vectors of length `dim`, where they are to be compared with vectors truncated from d."""
    return truncated(asked, dim, normalize=normalize) if asked.shape[1] == full_dim else asked


def truncated(vectors: Array, dim: int, *, normalize: bool) -> Array:
    """The first `dim` numbers of vectors (m × at least dim), brought back to norm 1 with `normalize`.

    That is how models trained with a Matryoshka loss are made shorter (Kusupati et al. 2022, arXiv 2205.13147).
    """
    if vectors.shape[1] == dim:
        return vectors
    kept = np.ascontiguousarray(vectors[:, :dim], dtype=np.float32)
    if not normalize:
        return kept
    shortened: Array = kept / np.maximum(np.linalg.norm(kept, axis=1, keepdims=True), np.float32(1e-12))
    return shortened
