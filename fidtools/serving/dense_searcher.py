"""Passages for the questions of several requests at once, by a retriever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from fidtools.data.records import Question
from fidtools.search.backends import SearchIndex
from fidtools.search.retrieval import Encode, by_text, retrieve
from fidtools.serving.searchers import Lookup, rank_together
from fidtools.typing import Array


class DenseSearcher:
    """A retriever's vectors, `normalized` or not.

    With `together`, requests share a search: only if its results do not depend on that.
    """

    name = "dense"

    def __init__(self, encode: Encode, index: SearchIndex, *, together: bool, normalized: bool = False) -> None:
        self._encode, self._index, self._search_together = encode, index, together
        self._normalized = normalized
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

        def search(questions: Iterable[Question], k: int) -> Iterator[Question]:
            return retrieve(questions, by_text(encode), self._index, k, normalized=self._normalized)

        return rank_together(lookups, search)
