"""Passages for the questions of several requests at once: by BM25, by a retriever, or by both fused.

Requests share one search, but each gets what the command gets for its questions alone. Scores of BM25 and of exact
search depend on the question's own text or vector only. A vector's last digits may depend on the texts that are encoded
with it, and a FAISS index's results on the number of questions and on k. So these are computed per request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from fidtools.data.corpus import Corpus
from fidtools.data.records import Question
from fidtools.search.backends import SearchIndex
from fidtools.search.rank_fusion import fuse_rankings
from fidtools.search.retrieval import Encode, retrieve
from fidtools.sparse.engine import Engine
from fidtools.sparse.ranking import rank
from fidtools.typing import Array

FUSION_DEPTH = 100
"""Passages of each list that are fused, the default of -k."""


@dataclass(frozen=True)
class Lookup:
    """The questions of one request, and the number of passages for each."""

    queries: Sequence[str]
    k: int


class Searcher(Protocol):
    """Something that ranks a corpus."""

    name: str
    corpus: Corpus

    def depth(self, k: int) -> int:
        """The number of passages that a request for `k` makes it look up, per question."""
        ...

    def rank(self, lookups: Sequence[Lookup]) -> list[list[Question]]:
        """For each request its questions with their `k` best passages as `ctxs`. Their ids are numbers from 0."""
        ...


class BM25Searcher:
    """A BM25 index."""

    name = "bm25"

    def __init__(self, engine: Engine, corpus: Corpus) -> None:
        self._engine, self.corpus = engine, corpus

    def depth(self, k: int) -> int:
        """See `Searcher`."""
        return k

    def rank(self, lookups: Sequence[Lookup]) -> list[list[Question]]:
        """See `Searcher`."""
        return _together(lookups, lambda questions, k: rank(questions, self._engine, self.corpus, k))


class DenseSearcher:
    """A retriever's vectors. With `together`, requests share a search: only if its results do not depend on that."""

    name = "dense"

    def __init__(self, encode: Encode, index: SearchIndex, *, together: bool) -> None:
        self._encode, self._index, self._search_together = encode, index, together
        self.corpus = index.passages

    def depth(self, k: int) -> int:
        """See `Searcher`."""
        return k

    def rank(self, lookups: Sequence[Lookup]) -> list[list[Question]]:
        """See `Searcher`."""
        if self._search_together:
            return self._ranked(lookups)
        return [found for lookup in lookups for found in self._ranked([lookup])]

    def _ranked(self, lookups: Sequence[Lookup]) -> list[list[Question]]:
        sizes = [len(lookup.queries) for lookup in lookups]

        def encode(texts: Sequence[str]) -> Array:
            rest = iter(texts)
            return np.concatenate([self._encode(list(islice(rest, size))) for size in sizes])

        return _together(lookups, lambda questions, k: retrieve(questions, encode, self._index, k))


class FusedSearcher:
    """Several rankings of one corpus, fused by reciprocal rank, as `fidtools fuse` does it."""

    def __init__(self, searchers: Sequence[Searcher]) -> None:
        self._searchers, self.corpus = searchers, searchers[0].corpus
        self.name = " + ".join(searcher.name for searcher in searchers)

    def depth(self, k: int) -> int:
        """See `Searcher`."""
        return len(self._searchers) * max(k, FUSION_DEPTH)

    def rank(self, lookups: Sequence[Lookup]) -> list[list[Question]]:
        """See `Searcher`."""
        deeper = [Lookup(lookup.queries, max(lookup.k, FUSION_DEPTH)) for lookup in lookups]
        rankings = zip(*(searcher.rank(deeper) for searcher in self._searchers), strict=True)
        return [
            [fuse_rankings(lists, lookup.k) for lists in zip(*found, strict=True)]
            for lookup, found in zip(lookups, rankings, strict=True)
        ]


def _together(
    lookups: Sequence[Lookup], ranking: Callable[[list[Question], int], Iterable[Question]]
) -> list[list[Question]]:
    """Rank the questions of all requests at the greatest `k`, and cut each request's lists to its own."""
    questions = [Question(str(number), text) for lookup in lookups for number, text in enumerate(lookup.queries)]
    ranked = iter(ranking(questions, max(lookup.k for lookup in lookups)))
    found = [list(islice(ranked, len(lookup.queries))) for lookup in lookups]
    for lookup, own in zip(lookups, found, strict=True):
        for question in own:
            question.ctxs = (question.ctxs or [])[: lookup.k]
    return found
