"""Which FAISS index suits how many vectors: factory strings, search parameters and sizes of training samples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fidtools.errors import MOST_DIGITS, UsageError, shorten

IndexType = Literal["flat", "fp16", "sq8", "hnsw", "ivf", "ivfpq"]
MIN_VECTORS_PER_LIST = 39  # FAISS warns when a centroid is trained on fewer
MIN_TRAINING_ROWS = 1 << 16
MAX_LISTS, MAX_NEIGHBOURS = 1 << 21, 512
DIGITS = rf"\d{{1,{MOST_DIGITS}}}"


@dataclass(frozen=True)
class IndexSpec:
    """How an index is made: `factory` is FAISS's description of it, `parameters` are set when it is searched.

    It is trained on a sample of `training_rows` vectors, where its type needs training.
    """

    factory: str
    parameters: str = ""
    training_rows: int = MIN_TRAINING_ROWS


def index_spec(kind: IndexType, rows: int, dim: int) -> IndexSpec:
    """The index of that type for `rows` vectors of length `dim`.

    flat: exact, all in float32. fp16, sq8: 2 bytes or 1 per number. hnsw: a graph, for single questions. ivf: about 4√n
    lists, of which one in 16 is searched. ivfpq: the same with 4 bits for 4 numbers; the best are scored again in fp16.
    """
    if kind in ("flat", "fp16", "sq8"):
        return IndexSpec({"flat": "Flat", "fp16": "SQfp16", "sq8": "SQ8"}[kind])
    if kind == "hnsw":
        return IndexSpec("HNSW32", "efSearch=256")
    lists = _number_of_lists(rows)
    probes = f"nprobe={max(1, lists // 16)}"
    training = max(MIN_TRAINING_ROWS, 64 * lists)
    if kind == "ivf":
        return IndexSpec(f"IVF{lists},Flat", probes, training)
    return IndexSpec(f"IVF{lists},PQ{_subvectors(dim)}x4fs,Refine(SQfp16)", f"{probes},k_factor_rf=10", training)


def check_factory(factory: str) -> None:
    """Refuse a FAISS factory string with numbers for which memory would be allocated and never used."""
    neighbours = re.search(f"HNSW({DIGITS})", factory)
    largest = max(map(int, re.findall(DIGITS, factory)), default=0)
    if not factory.strip() or largest > MAX_LISTS or (neighbours and int(neighbours[1]) > MAX_NEIGHBOURS):
        hint = f"at most {MAX_LISTS:,} lists and {MAX_NEIGHBOURS} neighbours, as in HNSW32 or IVF4096,Flat"
        raise UsageError(f"no index of this kind: {shorten(factory)!r}", hint=hint)


def _number_of_lists(rows: int) -> int:
    """The greatest power of two up to 4√n that leaves enough vectors for each list."""
    lists = 1
    while 2 * lists <= 4 * rows**0.5 and 2 * lists * MIN_VECTORS_PER_LIST <= rows:
        lists *= 2
    return lists


def _subvectors(dim: int) -> int:
    """Into how many parts a product quantizer cuts a vector: a divisor of its length, a quarter of it if possible."""
    return next(parts for parts in range(max(1, dim // 4), 0, -1) if dim % parts == 0)
