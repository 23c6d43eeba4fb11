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
        self._passages, self.size = passages, size
        questions = np.repeat(np.arange(len(passages)), [len(numbers) for numbers in passages])
        numbers = np.concatenate([np.empty(0, np.int64), *passages])
        by_passage = np.argsort(numbers, kind="stable")
        self._questions = questions[by_passage]
        self._begins = np.searchsorted(numbers[by_passage], np.arange(int(numbers.max(initial=-1)) + 2))

    def order(self, seed: int, epoch: int) -> list[int]:
        """The indices of all questions: every group is a question drawn at random and those most like it.

        What the full groups leave is cut into groups in the order in which it was left; a short one comes last.
        """
        drawn = shuffled(len(self._passages), seed, epoch)
        epoch_groups = _Epoch(self, drawn)
        found = [epoch_groups.group(first) for first in drawn if epoch_groups.waiting[first]]
        full = [group for group in found if len(group) == self.size]
        rest = [question for group in found if len(group) < self.size for question in group]
        pieces = [rest[start : start + self.size] for start in range(0, len(rest), self.size)]
        short = pieces.pop() if pieces and len(pieces[-1]) < self.size else []
        groups = full + pieces
        mixed = shuffled(len(groups), seed, epoch)
        return [question for number in mixed for question in groups[number]] + short

    def passages_of(self, question: int) -> list[int]:
        """The numbers of a question's passages."""
        numbers: list[int] = self._passages[question].tolist()
        return numbers

    def questions_of(self, passage: int) -> Numbers:
        """The questions that list a passage, in ascending order."""
        return self._questions[self._begins[passage] : self._begins[passage + 1]]


class _Epoch:
    """What is still to be drawn of an epoch."""

    def __init__(self, groups: QuestionGroups, drawn: Sequence[int]) -> None:
        self._groups = groups
        self.waiting = np.ones(len(drawn), bool)
        self._place = np.empty(len(drawn), np.int64)
        self._place[list(drawn)] = np.arange(len(drawn))
        self._left: dict[int, Numbers] = {}  # of the passages that were looked at, the questions waiting then

    def group(self, first: int) -> list[int]:
        """The question and those that share most of its passages; then, if it is short, most of theirs, and so on.

        Among equals, those drawn earlier. All of them wait no longer.
        """
        group, new, seen = [first], [first], set[int]()
        self.waiting[first] = False
        while new and len(group) < self._groups.size:
            passages = {number for question in new for number in self._groups.passages_of(question)} - seen
            seen |= passages
            new = self._most_alike(passages, self._groups.size - len(group))
            self.waiting[new] = False
            group += new
        return group

    def _most_alike(self, passages: set[int], count: int) -> list[int]:
        """The questions waiting that list most of the passages."""
        lists = [self._waiting_questions(number) for number in passages]
        together = np.concatenate([np.empty(0, np.int64), *lists])
        if len(together) > len(self.waiting) // 8:
            counts = np.bincount(together, minlength=len(self.waiting))
            sharing = np.flatnonzero(counts)
            counts = counts[sharing]
        else:
            sharing, counts = np.unique(together, return_counts=True)
        best = np.lexsort((self._place[sharing], -counts))[:count]
        chosen: list[int] = sharing[best].tolist()
        return chosen

    def _waiting_questions(self, passage: int) -> Numbers:
        questions = self._left.get(passage)
        if questions is None:
            questions = self._groups.questions_of(passage)
        questions = questions[self.waiting[questions]]
        self._left[passage] = questions  # so a common passage's list is not read from the start again and again
        return questions
