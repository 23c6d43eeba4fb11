"""A corpus to search: embeddings, checked against the passages and the encoder that they are searched with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from fidtools.compute.ranks import gather, ranks
from fidtools.data.corpus import Corpus
from fidtools.data.embeddings import different_encoders, read_parts
from fidtools.data.top_k import TopK
from fidtools.data.vector_type import fitted
from fidtools.errors import MismatchError
from fidtools.search.corpus_match import Fingerprint, embedding_mismatches, raise_or_warn, refuse_width
from fidtools.search.exact import DEFAULT_MEMORY_BYTES, search
from fidtools.search.vectors import ConcatenatedVectors, SelectedVectors, SlicedVectors, Vectors, float_vectors
from fidtools.typing import Array


class SearchIndex(Protocol):
    """Passages and a way to search them by vector; `dim` is the length of the vectors whose products are the scores.

    `encoder` made them, where that is on record.
    """

    passages: Corpus
    dim: int
    encoder: Fingerprint | None

    def search(self, asked: Array, k: int) -> TopK:
        """The `k` passages with the greatest inner product for each question (m × d). Row −1 means none."""
        ...

    def search_within(self, asked: Array, doc_ids: Sequence[str], k: int) -> list[TopK]:
        """The same among the passages of each question's document: a result of one line for each."""
        ...


def measure_mismatches(path: Path, measure: SearchIndex, searched: SearchIndex) -> Iterator[MismatchError]:
    """An error for everything that keeps the vectors of `path` from judging what is found in those searched."""
    if measure.dim < searched.dim:
        problem = f"vectors of length {measure.dim}, but those that are searched have {searched.dim}"
        yield MismatchError(problem, path=path, hint="give vectors that are at least as long")
    if names := different_encoders(measure.encoder, searched.encoder):
        problem = f"written by another encoder than the vectors that are searched: they differ in {', '.join(names)}"
        yield MismatchError(problem, path=path, hint="embed the passages for both with one retriever")


class ExactIndex:
    """Embeddings (one file or shards), searched exhaustively. Under `torchrun` each rank searches a part of them."""

    def __init__(
        self,
        path: Path,
        passages: Corpus,
        encoder: Fingerprint | None,
        *,
        dim: int | None = None,
        force: bool = False,
        memory: int = DEFAULT_MEMORY_BYTES,
    ) -> None:
        parts = read_parts(path)
        refuse_width(path, parts[0].dim, dim, parts[0].meta)
        raise_or_warn(embedding_mismatches(path, parts, passages, encoder), force)
        self.passages, self.memory, self.dim, self.encoder = passages, memory, parts[0].dim, parts[0].encoder
        self.has_floats = parts[0].kind.is_float
        self._full_dim = parts[0].meta.get("full_dim")
        self._normalize = bool(encoder.get("normalize")) if encoder is not None else parts[0].normalized
        self.vectors: Vectors = ConcatenatedVectors([float_vectors(part) for part in parts])

    def search(self, asked: Array, k: int) -> TopK:
        """See `SearchIndex`; questions may be longer than truncated vectors."""
        asked = self.fitted(asked)
        start, stop = ranks().span(self.vectors.shape[0])
        mine = search(asked, SlicedVectors(self.vectors, start, stop), k, memory=self.memory)
        return TopK.merge(gather(TopK(mine.rows + start, mine.scores)), k)

    def search_within(self, asked: Array, doc_ids: Sequence[str], k: int) -> list[TopK]:
        """See `SearchIndex`; all questions of one document are searched together."""
        asked = self.fitted(asked)
        documents: dict[str, list[int]] = {}
        for place, doc_id in enumerate(doc_ids):
            documents.setdefault(doc_id, []).append(place)
        mine: dict[int, TopK] = {}
        for doc_id, places in ranks().shard(list(documents.items())):
            rows = self.passages.rows_within(doc_id)
            found = search(asked[places], SelectedVectors(self.vectors, rows), k, memory=self.memory)
            for number, place in enumerate(places):
                mine[place] = TopK(rows[found.question(number).rows], found.question(number).scores)
        together = {place: found for part in gather(mine) for place, found in part.items()}
        return [together[place] for place in range(len(doc_ids))]

    def fitted(self, asked: Array) -> Array:
        """Questions (m × at least d) as vectors of length d (`embed --dim`)."""
        return fitted(asked, self.dim, self._full_dim, normalize=self._normalize)
