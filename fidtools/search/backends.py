"""A corpus to search: embeddings checked against the passages and the encoder they are searched with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fidtools.compute.ranks import gather, ranks
from fidtools.data.corpus import Corpus
from fidtools.data.embeddings import Embeddings, read_embeddings, shards
from fidtools.errors import MismatchError
from fidtools.logs import log
from fidtools.search.exact import DEFAULT_MEMORY, search
from fidtools.search.ranked import Ranked, merged
from fidtools.search.vectors import FileVectors, Selected, Sliced, Stacked, Vectors

Array = np.ndarray[Any, Any]
Encoder = dict[str, Any]


class SearchIndex(Protocol):
    """Passages and a way to search them by vector."""

    passages: Corpus

    def search(self, asked: Array, k: int) -> Ranked:
        """The `k` passages with the greatest inner product for each question (m × d). Row −1 means none."""
        ...

    def search_within(self, asked: Array, doc_ids: Sequence[str], k: int) -> list[Ranked]:
        """The same among the passages of each question's document: one line of rows and scores for each."""
        ...


class ExactIndex:
    """Embeddings (one file or shards), compared one by one. Under `torchrun` each rank searches a part of them."""

    def __init__(
        self,
        path: Path,
        passages: Corpus,
        encoder: Encoder,
        *,
        force: bool = False,
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        parts = [read_embeddings(part) for part in shards(path)]
        complain(_mismatches(path, parts, passages, encoder), force)
        self.passages, self.memory = passages, memory
        self.vectors: Vectors = Stacked([FileVectors(part.path) for part in parts])

    def search(self, asked: Array, k: int) -> Ranked:
        """See `SearchIndex`."""
        me, rows = ranks(), self.vectors.shape[0]
        start, stop = (rows * edge // me.world for edge in (me.rank, me.rank + 1))
        mine = search(asked, Sliced(self.vectors, start, stop), k, memory=self.memory)
        return merged(gather(Ranked(mine.rows + start, mine.scores)), k)

    def search_within(self, asked: Array, doc_ids: Sequence[str], k: int) -> list[Ranked]:
        """See `SearchIndex`; all questions of one document are searched together."""
        documents: dict[str, list[int]] = {}
        for place, doc_id in enumerate(doc_ids):
            documents.setdefault(doc_id, []).append(place)
        mine: dict[int, Ranked] = {}
        for doc_id, places in ranks().shard(list(documents.items())):
            rows = self.passages.rows_within(doc_id)
            found = search(asked[places], Selected(self.vectors, rows), k, memory=self.memory)
            for line, place in enumerate(places):
                mine[place] = Ranked(rows[found.rows[line : line + 1]], found.scores[line : line + 1])
        together = {place: found for part in gather(mine) for place, found in part.items()}
        return [together[place] for place in range(len(doc_ids))]


def complain(problems: Iterable[MismatchError], force: bool) -> None:
    """Raise the first problem, or with `force` warn of all."""
    for problem in problems:
        if not force:
            raise problem
        log.warning("%s (--force: used all the same)", problem.problem)


def _mismatches(path: Path, parts: Sequence[Embeddings], passages: Corpus, encoder: Encoder) -> Iterator[MismatchError]:
    rows = sum(part.rows for part in parts)
    same_ids = parts[0].meta["ids_sha256"] == passages.ids_sha256 if len(parts) == 1 else _same_ids(parts, passages)
    yield from other_passages(path, rows, same_ids, passages)
    for part in parts:
        yield from other_encoder(part.path, part.meta.get("encoder"), encoder)


def other_passages(path: Path, rows: int, same_ids: bool, passages: Corpus) -> Iterator[MismatchError]:
    """Whether `path` is of another corpus than `passages`."""
    if rows != len(passages) or not same_ids:
        problem = f"its {rows} rows are not the {len(passages)} passages of {passages.path}"
        yield MismatchError(problem, path=path, hint="embed those passages, or name the ones that were embedded")


def other_encoder(path: Path, made_by: Encoder | None, encoder: Encoder) -> Iterator[MismatchError]:
    """Whether `path` was written by another encoder; unknown (None) for vectors that came from elsewhere."""
    if made_by is not None and made_by != encoder:
        names = [name for name in encoder if encoder[name] != made_by.get(name)]
        problem = f"written by another encoder than --retriever: they differ in {', '.join(names)}"
        yield MismatchError(problem, path=path, hint="embed the passages with this retriever")


def _same_ids(parts: Sequence[Embeddings], passages: Corpus) -> bool:
    ids = (identifier for part in parts for identifier in part.ids)
    return all(ours == theirs for ours, theirs in zip(ids, passages.ids(), strict=False))
