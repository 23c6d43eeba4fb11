"""Questions that share passages, drawn together: an update then encodes each of these passages once.

The batches are of few topics, as in topic-aware sampling (Hofstätter et al., 2021), so that the other questions'
passages are hard ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fidtools.training.order import shuffled

Numbers = NDArray[np.integer]


class QuestionGroups:
    """Orders of the questions in which those that share passages stand side by side, `size` at most.

    `passages` are the numbers of every question's passages.
    """

    def __init__(self, passages: Sequence[Numbers], size: int) -> None:
        self._passages, self._size = passages, size
        questions = np.repeat(np.arange(len(passages)), [len(numbers) for numbers in passages])
        numbers = np.concatenate([np.empty(0, np.int64), *passages])
        by_passage = np.argsort(numbers, kind="stable")
        self._questions = questions[by_passage]
        self._begins = np.searchsorted(numbers[by_passage], np.arange(int(numbers.max(initial=-1)) + 2))

    def order(self, seed: int, epoch: int) -> list[int]:
        """The indices of all questions: every group is a question drawn at random and those most like it."""
        drawn = shuffled(len(self._passages), seed, epoch)
        place = np.empty(len(drawn), np.int64)
        place[drawn] = np.arange(len(drawn))
        waiting = np.ones(len(drawn), bool)
        groups = []
        for first in drawn:
            if waiting[first]:
                groups.append(self._group(first, waiting, place))
                waiting[groups[-1]] = False
        mixed = shuffled(len(groups), seed, epoch)  # the last ones formed are of what the others left
        return [question for number in mixed for question in groups[number]]

    def _group(self, first: int, waiting: NDArray[np.bool_], place: Numbers) -> list[int]:
        """The question and those waiting that share most of its passages; among equals, those drawn earlier."""
        lists = [self._questions[self._begins[p] : self._begins[p + 1]] for p in self._passages[first]]
        sharing, counts = np.unique(np.concatenate([np.empty(0, np.int64), *lists]), return_counts=True)
        others = waiting[sharing] & (sharing != first)
        sharing, counts = sharing[others], counts[others]
        best = np.lexsort((place[sharing], -counts))[: self._size - 1]
        chosen: list[int] = sharing[best].tolist()
        return [first, *chosen]
