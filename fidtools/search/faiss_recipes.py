"""Which FAISS index suits how many vectors: factory strings, search parameters and sizes of training samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["flat", "fp16", "sq8", "hnsw", "ivf", "ivfpq"]
PER_LIST = 39  # vectors that FAISS wants per centroid, at least


@dataclass(frozen=True)
class Recipe:
    """How an index is made: `factory` is FAISS's description of it, `parameters` are set when it is searched."""

    factory: str
    parameters: str = ""
    training_rows: int = 1 << 16


def recipe(kind: Kind, rows: int, dim: int) -> Recipe:
    """The recipe for `rows` vectors of length `dim`.

    flat: exact, all in float32. fp16, sq8: 2 bytes or 1 per number. hnsw: a graph, for single questions. ivf: about 4√n
    lists, of which one in 16 is searched. ivfpq: the same with 4 bits for 4 numbers, and the best scored again in 16.
    """
    if kind in ("flat", "fp16", "sq8"):
        return Recipe({"flat": "Flat", "fp16": "SQfp16", "sq8": "SQ8"}[kind])
    if kind == "hnsw":
        return Recipe("HNSW32", "efSearch=256")
    lists = _lists(rows)
    probes = f"nprobe={max(1, lists // 16)}"
    training = max(1 << 16, 64 * lists)
    if kind == "ivf":
        return Recipe(f"IVF{lists},Flat", probes, training)
    return Recipe(f"IVF{lists},PQ{_parts(dim)}x4fs,Refine(SQfp16)", f"{probes},k_factor_rf=10", training)


def _lists(rows: int) -> int:
    """The greatest power of two up to 4√n that leaves enough vectors for each list."""
    lists = 1
    while 2 * lists <= 4 * rows**0.5 and 2 * lists * PER_LIST <= rows:
        lists *= 2
    return lists


def _parts(dim: int) -> int:
    """Into how many parts a product quantiser cuts a vector: a divisor of its length, a quarter of it if possible."""
    return next(parts for parts in range(max(1, dim // 4), 0, -1) if dim % parts == 0)
