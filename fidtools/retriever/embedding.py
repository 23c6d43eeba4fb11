"""Embedding of corpora and question files to `.npy`, block by block; the next blocks are tokenized in a thread.

The vectors of a block depend only on its texts. So resumed runs and any number of ranks write the same bytes, on the
same kind of machine.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from fidtools.compute.prefetch import prefetch
from fidtools.compute.ranks import barrier, gather, ranks
from fidtools.data.embedding_layout import EmbeddingFiles
from fidtools.data.embedding_writer import RowWriter, are_finished, clear_unfinished, create_embeddings
from fidtools.data.files import PathLike
from fidtools.data.vector_type import VectorType, truncated
from fidtools.errors import DataError, UsageError
from fidtools.logs import log, track
from fidtools.retriever.encoding import TOKEN_BUDGET, Retriever
from fidtools.retriever.text_sources import TextSource
from fidtools.retriever.tower import TokenIds
from fidtools.typing import Array

BLOCK = 4096
"""Texts that are encoded together in order of length, and written at once."""
CALIBRATION_TEXTS = 4096
"""Texts of the sample whose minima and maxima become the ranges of int8."""
CALIBRATION_RUN = 64
"""Consecutive texts of that sample; fewer would be encoded in too small batches."""


def embed(
    source: TextSource,
    retriever: Retriever,
    path: PathLike,
    *,
    dtype: str = "float32",
    dim: int | None = None,
    token_budget: int = TOKEN_BUDGET,
    resume: bool = False,
) -> float:
    """Write the vectors of all texts to `path` (X.npy, X.ids, X.json). Returns this rank's texts per second.

    `dim` keeps only the first numbers of each vector, with norm 1 again where the retriever normalizes. Under
    `torchrun` every rank encodes its share of the blocks. Raises FidtoolsError when the disk has less than the needed
    bytes free, DataError for a text without any token, UsageError for a `dim` above the retriever's and when `resume`
    finds a run, finished or not, with other settings.
    """
    encoder = _Encoder(source, retriever, retriever.dim if dim is None else dim, token_budget)
    meta = source.meta(retriever) | {"precision": retriever.compute.precision}
    if encoder.dim != retriever.dim:
        meta |= {"full_dim": retriever.dim}
    kind = VectorType(dtype, encoder.dim, _ranges(encoder, len(source), path, resume) if dtype == "int8" else None)
    if resume and are_finished(path, len(source), kind, meta, source.ids()):
        if ranks().is_main:
            clear_unfinished(path)
        log.info("%s is finished; nothing to do", path)
        return 0.0
    with _shared_writer(source, path, kind, meta, resume) as writer:
        done, zeros, seconds = _encode_missing(encoder, len(source), writer)
    retriever.report_cuts(shared=True)
    if (count := sum(gather(zeros))) and ranks().is_main:
        hint = "the retriever may know none of their words; such a vector scores 0, above all negative scores"
        log.warning("%s: texts with a vector of zeros: %d\n  %s", path, count, hint)
    log.info("encoded %d texts in %.1f s, %.1f per second", done, seconds, rate := done / max(seconds, 1e-9))
    return rate


class _Encoder:
    """The texts of a source as vectors of length `dim`."""

    def __init__(self, source: TextSource, retriever: Retriever, dim: int, token_budget: int) -> None:
        if dim > retriever.dim:
            raise UsageError(f"--dim {dim} exceeds the {retriever.dim} dimensions of the retriever's vectors")
        self.dim, self._source, self._retriever, self._token_budget = dim, source, retriever, token_budget
        tower = source.tower(retriever)
        self._encoder, self._cuts = tower.encoder, tower.cuts

    def token_ids(self, start: int, stop: int) -> TokenIds:
        """The token ids of texts start … stop − 1. Raises DataError for a text without any."""
        token_ids = self._source.token_ids(self._retriever, start, stop)
        if not all(token_ids):
            number = start + [*map(bool, token_ids)].index(False)
            raise DataError("a text without any token", field="row", value=number)
        return token_ids

    def vectors(self, token_ids: TokenIds) -> Array:
        """Vectors (m × dim) of tokenized texts."""
        vectors = self._retriever.encode_token_ids(token_ids, self._encoder, self._token_budget)
        return truncated(vectors, self.dim, normalize=self._retriever.settings.normalize)

    def forget_cuts(self) -> None:
        """Count texts that are cut from here on only."""
        self._cuts.kinds.clear()


@contextlib.contextmanager
def _shared_writer(
    source: TextSource, path: PathLike, kind: VectorType, meta: dict[str, Any], resume: bool
) -> Iterator[RowWriter]:
    """One set of embeddings that all ranks write into: rank 0 creates the files, the others join, rank 0 finishes."""
    if not ranks().is_main:
        barrier()  # the files are there
        with RowWriter(path, kind) as writer:
            yield writer
        barrier()  # every rank has written
        return
    with create_embeddings(path, len(source), kind, meta, ids=source.ids(), resume=resume) as writer:
        barrier()
        yield writer
        barrier()


def _encode_missing(encoder: _Encoder, texts: int, writer: RowWriter) -> tuple[int, int, float]:
    """How many texts were encoded, how many of their vectors are zero, and the seconds that it took."""

    def end(start: int) -> int:
        return min(start + BLOCK, texts)

    mine = [start for start in ranks().shard(list(range(0, texts, BLOCK))) if writer.missing(start, end(start))]
    started, done, zeros = time.perf_counter(), 0, 0
    blocks = prefetch(mine, lambda start: (start, encoder.token_ids(start, end(start))), depth=2)
    total = sum(end(start) - start for start in mine)
    for start, token_ids in track(blocks, "texts embedded", total=total, size=lambda block: len(block[1])):
        vectors = encoder.vectors(token_ids)
        writer.write(start, vectors)
        done, zeros = done + len(token_ids), zeros + len(vectors) - int(vectors.any(axis=1).sum())
    return done, zeros, time.perf_counter() - started


def _ranges(encoder: _Encoder, texts: int, path: PathLike, resume: bool) -> Array:
    """The ranges of int8: with `resume` those that an earlier run has recorded, so that nothing is measured again."""
    recorded = EmbeddingFiles.to_write(path).recorded_ranges() if resume else None
    with contextlib.suppress(TypeError, ValueError):  # no numbers: the run is refused for what differs
        found = np.array(recorded, np.float32)
        if found.shape == (2, encoder.dim) and np.isfinite(found).all():
            return found
    return _measured_ranges(encoder, texts)


def _measured_ranges(encoder: _Encoder, texts: int) -> Array:
    """The least and the greatest number of every dimension (2 × dim) in a sample, of which each rank encodes a share.

    The sample is runs of consecutive texts at equal distances, so that another run of the command finds the same.
    """
    runs = CALIBRATION_TEXTS // CALIBRATION_RUN
    wanted = range(0, texts, CALIBRATION_RUN)
    picked = [wanted[i] for i in sorted({number * len(wanted) // runs for number in range(runs)})] if texts else []
    found = [np.full((1, encoder.dim), np.inf, np.float32), np.full((1, encoder.dim), -np.inf, np.float32)]
    for start in track(ranks().shard(picked), "parts of a sample for the ranges of int8"):
        vectors = encoder.vectors(encoder.token_ids(start, min(start + CALIBRATION_RUN, texts)))
        found = [np.minimum(found[0], vectors.min(0)), np.maximum(found[1], vectors.max(0))]
    encoder.forget_cuts()  # these texts are encoded again
    parts = gather(found)
    low, high = np.min([part[0] for part in parts], axis=0), np.max([part[1] for part in parts], axis=0)
    return np.concatenate([low, high])
