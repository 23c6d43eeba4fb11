"""A corpus to search: embeddings, checked against the passages and the encoder that they are searched with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from fidtools.compute.ranks import gather, ranks
from fidtools.data.corpus import Corpus
from fidtools.data.embeddings import Embeddings, read_parts, text_hashes
from fidtools.data.top_k import TopK
from fidtools.data.vector_type import fitted
from fidtools.errors import MismatchError
from fidtools.logs import log
from fidtools.search.exact import DEFAULT_MEMORY_BYTES, search
from fidtools.search.vectors import ConcatenatedVectors, SelectedVectors, SlicedVectors, Vectors, float_vectors
from fidtools.typing import Array

Fingerprint = dict[str, Any]  # of an encoder, as the retriever and the embeddings' .json record it


class SearchIndex(Protocol):
    """Passages and a way to search them by vector; `dim` is the length of the vectors whose products are the scores."""

    passages: Corpus
    dim: int

    def search(self, asked: Array, k: int) -> TopK:
        """The `k` passages with the greatest inner product for each question (m × d). Row −1 means none."""
        ...

    def search_within(self, asked: Array, doc_ids: Sequence[str], k: int) -> list[TopK]:
        """The same among the passages of each question's document: a result of one line for each."""
        ...


class ExactIndex:
    """Embeddings (one file or shards), searched exhaustively. Under `torchrun` each rank searches a part of them."""

    def __init__(
        self,
        path: Path,
        passages: Corpus,
        encoder: Fingerprint,
        *,
        dim: int | None = None,
        force: bool = False,
        memory: int = DEFAULT_MEMORY_BYTES,
    ) -> None:
        parts = read_parts(path)
        refuse_width(path, parts[0].dim, dim, parts[0].meta)
        raise_or_warn(_mismatches(path, parts, passages, encoder), force)
        self.passages, self.memory, self.dim = passages, memory, parts[0].dim
        self.has_floats = parts[0].kind.is_float
        self._full_dim = parts[0].meta.get("full_dim")
        self._normalize = bool(encoder.get("normalize"))
        self.vectors: Vectors = ConcatenatedVectors([float_vectors(part) for part in parts])

    def search(self, asked: Array, k: int) -> TopK:
        """See `SearchIndex`; questions may be longer than truncated vectors."""
        asked = self.fitted(asked)
        me, rows = ranks(), self.vectors.shape[0]
        start, stop = (rows * edge // me.world for edge in (me.rank, me.rank + 1))
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


def raise_or_warn(problems: Iterable[MismatchError], force: bool) -> None:
    """Raise the first problem; with `force`, warn of all of them instead."""
    for problem in problems:
        if not force:
            raise problem
        log.warning("%s (ignored because of --force)", problem.problem)


def _mismatches(
    path: Path, parts: Sequence[Embeddings], passages: Corpus, encoder: Fingerprint
) -> Iterator[MismatchError]:
    rows = sum(part.rows for part in parts)
    same_ids = parts[0].meta["ids_sha256"] == passages.ids_sha256 if len(parts) == 1 else _same_ids(parts, passages)
    yield from passage_mismatches(path, rows, same_ids, text_hashes(parts), passages)
    for part in parts:
        yield from encoder_mismatches(part.path, part.meta.get("encoder"), encoder)


def refuse_width(path: Path, stored: int, dim: int | None, meta: dict[str, Any]) -> None:
    """Raise MismatchError when the vectors of `path` have another length than the retriever's, where that is known.

    `meta` is their record, which says how long they were before `embed --dim` truncated them.
    """
    if dim is not None and dim not in (stored, meta.get("full_dim")):
        hint = "embed the passages with this retriever"
        raise MismatchError(f"vectors of length {stored}, but those of --retriever have {dim}", path=path, hint=hint)


def passage_mismatches(
    path: Path, rows: int, same_ids: bool, hashes: Sequence[tuple[int, str | None]], passages: Corpus
) -> Iterator[MismatchError]:
    """An error when `path` belongs to another corpus than `passages`.

    `hashes` are those of the texts of consecutive rows, with their numbers of rows; None where none is on record.
    """
    if rows != len(passages) or not same_ids:
        problem = f"its {rows} rows are not the {len(passages)} passages of {passages.path}"
        yield MismatchError(problem, path=path, hint="embed these passages, or give the passages that were embedded")
    elif start := _first_other_text(hashes, passages):
        problem = f"made from other texts than those of {passages.path}, from line {start} on: same ids, but edited"
        yield MismatchError(problem, path=path, hint="embed these passages again")


def _first_other_text(hashes: Sequence[tuple[int, str | None]], passages: Corpus) -> int | None:
    """The number of the first row, from 1, of a part whose texts are not on record as they are now."""
    start = 0
    for rows, sha256 in hashes:
        if sha256 is not None and sha256 != passages.texts_sha256(start, start + rows):
            return start + 1
        start += rows
    return None


def encoder_mismatches(path: Path, made_by: Fingerprint | None, encoder: Fingerprint) -> Iterator[MismatchError]:
    """An error when `path` was written by another encoder. Vectors from elsewhere have none on record (None)."""
    if made_by is not None and made_by != encoder:
        names = [name for name in encoder if encoder[name] != made_by.get(name)]
        problem = f"written by another encoder than --retriever: they differ in {', '.join(names)}"
        yield MismatchError(problem, path=path, hint="embed the passages with this retriever")


def _same_ids(parts: Sequence[Embeddings], passages: Corpus) -> bool:
    ids = (identifier for part in parts for identifier in part.ids)
    return all(ours == theirs for ours, theirs in zip(ids, passages.ids(), strict=False))
