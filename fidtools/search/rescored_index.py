"""Search in small vectors, whose best candidates are ranked again by the float vectors they were made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fidtools.compute.ranks import gather, interleaved, ranks
from fidtools.data.top_k import TopK
from fidtools.search.backends import ExactIndex, SearchIndex
from fidtools.search.rescoring import rescore
from fidtools.typing import Array

PAIR_BYTES = 64  # of a candidate, its scores and their order


class RescoredIndex:
    """The `oversample` · k best of `candidates`, ranked by `exact`, which holds the same passages as float vectors.

    Scores are those of the float vectors. Under `torchrun` each rank ranks the candidates of a part of the questions.
    """

    def __init__(self, candidates: SearchIndex, exact: ExactIndex, oversample: float) -> None:
        self.passages, self.dim, self.encoder = exact.passages, exact.dim, exact.encoder
        self._candidates, self._exact, self._oversample = candidates, exact, oversample

    def search(self, asked: Array, k: int) -> TopK:
        """See `SearchIndex`."""
        together = max(1, self._exact.memory // (2 * PAIR_BYTES * self._more(k)))
        parts = [self._search(asked[start : start + together], k) for start in range(0, max(1, len(asked)), together)]
        return TopK.stacked(parts)

    def _search(self, asked: Array, k: int) -> TopK:
        found = self._candidates.search(asked, self._more(k))
        start, stop = ranks().span(len(asked))
        return TopK.stacked(gather(self._ranked(asked[start:stop], found.rows[start:stop], k)))

    def search_within(self, asked: Array, doc_ids: Sequence[str], k: int) -> list[TopK]:
        """See `SearchIndex`."""
        found = self._candidates.search_within(asked, doc_ids, self._more(k))
        mine = [self._ranked(asked[n : n + 1], part.rows, k) for n, part in ranks().shard(list(enumerate(found)))]
        return interleaved(gather(mine))

    def _more(self, k: int) -> int:
        return max(k, min(int(k * self._oversample), self._exact.vectors.shape[0]))

    def _ranked(self, asked: Array, rows: Array, k: int) -> TopK:
        """The best `k` of each question's candidates (m × any; −1: none)."""
        question, place = np.nonzero(rows >= 0)
        k = min(k, rows.shape[1])
        pairs = torch.from_numpy(question), torch.from_numpy(rows[question, place])
        questions = torch.from_numpy(self._exact.fitted(asked))
        return rescore(questions, self._exact.vectors, pairs, k, self._exact.memory)
