"""Passages with their vectors, read in blocks: what is written for a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from fidtools.data.corpus import open_passages
from fidtools.data.embeddings import read_parts
from fidtools.data.files import PathLike
from fidtools.data.records import Passage
from fidtools.errors import DataError
from fidtools.logs import log, track
from fidtools.search.corpus_match import corpus_mismatches, raise_or_warn
from fidtools.search.vectors import ConcatenatedVectors, float_vectors, vector_blocks
from fidtools.typing import Array

ROWS_PER_BLOCK = 1024
FIELDS = ("id", "doc_id", "title", "text")
Similarity = Literal["cosine", "inner product"]


class Block(NamedTuple):
    """Consecutive passages and their vectors (m × d); `start` is the row of the first."""

    start: int
    passages: list[Passage]
    vectors: Array

    def error(self, number: int, problem: str, field: str, hint: str) -> DataError:
        """An error about the passage at that place of the block."""
        return DataError(f"row {self.start + number}: {problem}", field=field, hint=hint)


@dataclass(frozen=True)
class VectorTable:
    """The passages of a corpus with their embeddings; `dtype` is float32 or float16.

    `similarity` is cosine where the encoder gives its vectors norm 1 and they are stored so, else the inner product.
    Vectors of int8 and binary embeddings are the floats that they stand for.
    """

    path: PathLike
    rows: int
    dim: int
    dtype: Literal["float32", "float16"]
    similarity: Similarity
    has_doc_ids: bool
    meta: dict[str, Any]
    blocks: Iterator[Block]

    @property
    def fields(self) -> list[str]:
        """The names of the passages' fields that are written."""
        return [name for name in FIELDS if name != "doc_id" or self.has_doc_ids]


def open_table(embeddings: PathLike, passages: PathLike) -> VectorTable:
    """The embeddings X.npy, or their shards, with the passages that they were made from.

    Raises MismatchError when they were made from others. Fields that no database gets are counted and reported at the
    end of the blocks.
    """
    parts, corpus = read_parts(embeddings), open_passages(passages)
    raise_or_warn(corpus_mismatches(Path(embeddings), parts, corpus), force=False)
    vectors = ConcatenatedVectors([float_vectors(part) for part in parts])
    kind = parts[0].kind
    dtype: Literal["float32", "float16"] = "float16" if kind.name == "float16" else "float32"
    unit = (
        parts[0].normalized and kind.name != "int8"
    )  # int8 has rounded the norms, which `retrieve` leaves as they are

    def blocks() -> Iterator[Block]:
        lost: Counter[str] = Counter()
        stored = vector_blocks(vectors, ROWS_PER_BLOCK)
        for start, found in track(stored, "passages", vectors.shape[0], size=lambda block: len(block[1])):
            if not np.isfinite(found).all():
                raise DataError("vectors with NaN or infinite numbers cannot be searched", path=embeddings)
            some = [corpus[row] for row in range(start, start + len(found))]
            for passage in some:
                lost.update(passage.extra.keys())
            yield Block(start, some, np.array(found, dtype, order="C"))
        if lost:
            listed = ", ".join(f"{name} ({count:,})" for name, count in sorted(lost.items()))
            log.warning("fields that are not written, with the number of passages: %s", listed)

    similarity: Similarity = "cosine" if unit else "inner product"
    rows, dim = vectors.shape
    return VectorTable(embeddings, rows, dim, dtype, similarity, corpus.has_doc_ids, parts[0].meta, blocks())
