"""What a search loses: its results beside those of exact search of float vectors, on the user's own questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fidtools.data.top_k import TopK
from fidtools.logs import log
from fidtools.search.backends import SearchIndex
from fidtools.typing import Array

MAX_VERIFY_QUESTIONS = 1000


def recall_of(found: Array, exact: Array) -> float:
    """The share of the exact rows (m × k) that were found (m × any), averaged over m questions."""
    return float(np.mean([np.isin(best, ours).mean() for best, ours in zip(exact, found, strict=True)]))


class VerifiedIndex:
    """An index whose results for the first 1,000 questions are compared with those of `exact`."""

    def __init__(self, index: SearchIndex, exact: SearchIndex) -> None:
        self.passages, self.dim, self.encoder = index.passages, index.dim, index.encoder
        self._index, self._exact = index, exact
        self._shares: list[float] = []
        self._same_first: list[bool] = []

    def search(self, asked: Array, k: int) -> TopK:
        """See `SearchIndex`."""
        found, some = self._index.search(asked, k), self._open(len(asked))
        if some:
            best = self._exact.search(asked[:some], k)
            self._compare([found.question(number) for number in range(some)], [*map(best.question, range(some))])
        return found

    def search_within(self, asked: Array, doc_ids: Sequence[str], k: int) -> list[TopK]:
        """See `SearchIndex`."""
        found, some = self._index.search_within(asked, doc_ids, k), self._open(len(asked))
        if some:
            self._compare(found[:some], self._exact.search_within(asked[:some], doc_ids[:some], k))
        return found

    def _open(self, asked: int) -> int:
        return min(asked, MAX_VERIFY_QUESTIONS - len(self._shares))

    def _compare(self, found: Sequence[TopK], best: Sequence[TopK]) -> None:
        for ours, exact in zip(found, best, strict=True):
            self._shares.append(recall_of(ours.rows, exact.rows))
            self._same_first.append(bool(ours.rows[0, 0] == exact.rows[0, 0]))

    def report(self, k: int, name: object) -> None:
        """Log recall@k, and how often the first passage is the same."""
        if self._shares:
            count, recall, first = len(self._shares), np.mean(self._shares), np.mean(self._same_first)
            text = "recall@%d of %d questions against exact search of %s: %.4f; the same first passage: %.4f"
            log.info(text, k, count, name, recall, first)
