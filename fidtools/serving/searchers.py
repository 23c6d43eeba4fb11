"""Passages for the questions of several requests at once: by BM25, or fused with a retriever's. Without torch.

Requests share one search, but each gets what the command gets for its questions alone. Scores of BM25 and of exact
search depend on the question's own text or vector only. A vector's last digits may depend on the texts that are encoded
with it, and a FAISS index's results on the number of questions and on k. So these are computed per request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from fidtools.data.corpus import Corpus
from fidtools.data.records import Question
from fidtools.search.rank_fusion import fuse_rankings
from fidtools.sparse.engine import Engine
from fidtools.sparse.ranking import rank

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
        return rank_together(lookups, lambda questions, k: rank(questions, self._engine, self.corpus, k))


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


def rank_together(
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
