"""The candidates of every question during a pass over the corpus, none of which may be dropped too early."""

from __future__ import annotations

import torch
from torch import Tensor

INFINITY = float("inf")
FRESH = 2  # candidates per question, in multiples of k, after which a new bound pays


class Survivors:
    """Per question the rows that may still be among its k best, with bounds on their true scores.

    A row's true score lies in [lower, upper]. `bound` is the k-th largest `lower` so far: k rows have a true score of
    at least that, so a row whose `upper` is below it can never be among the k best, and nothing else is ever dropped. A
    question with more candidates than there is room for is `crowded`: its result is not to be used.
    """

    def __init__(self, questions: int, k: int, room: int, device: torch.device) -> None:
        self.k, self.room = k, room
        self.lower = torch.full((questions, room), -INFINITY, device=device)
        self.upper = torch.full((questions, room), -INFINITY, device=device)
        self.rows = torch.zeros((questions, room), dtype=torch.int64, device=device)
        self.count = torch.zeros(questions, dtype=torch.int64, device=device)
        self.bound = torch.full((questions,), -INFINITY, device=device)
        self.crowded = torch.zeros(questions, dtype=torch.bool, device=device)
        self._fresh = 0

    def add(self, question: Tensor, row: Tensor, lower: Tensor, upper: Tensor) -> None:
        """Take in candidates, given as four lists of one length of which `question` rises."""
        arrivals = torch.bincount(question, minlength=len(self.count))
        if bool((self.count + arrivals > self.room).any()):
            self.prune()
            keep = (upper >= self.bound[question]).nonzero()[:, 0]
            question, row, lower, upper = (part[keep] for part in (question, row, lower, upper))
            arrivals = torch.bincount(question, minlength=len(self.count))
            self._give_up(self.count + arrivals > self.room)
            keep = (~self.crowded[question]).nonzero()[:, 0]
            question, row, lower, upper = (part[keep] for part in (question, row, lower, upper))
            arrivals[self.crowded] = 0
        place = self.count[question] + _positions(question, arrivals)
        self.lower[question, place], self.upper[question, place], self.rows[question, place] = lower, upper, row
        self.count += arrivals
        self._fresh += len(question)
        if self._fresh > FRESH * self.k * len(self.count):
            self.prune()

    def _give_up(self, crowded: Tensor) -> None:
        self.crowded |= crowded
        self.bound[self.crowded] = INFINITY
        self.count[self.crowded] = 0
        self.lower[self.crowded] = self.upper[self.crowded] = -INFINITY

    def prune(self) -> None:
        """Raise the bound to what is known by now, and drop what lies below it."""
        self._fresh, used = 0, int(self.count.max())
        if used >= self.k:
            self.raise_bound(least_of_best(self.lower[:, :used], self.k))
        keep = self.upper[:, :used] >= self.bound[:, None]
        keep &= self.upper[:, :used] > -INFINITY
        question, column = keep.nonzero(as_tuple=True)
        self.count = keep.sum(1)
        place = _positions(question, self.count)
        for name in ("lower", "upper", "rows"):
            values = getattr(self, name)[:, :used]
            kept = values[question, column]
            values.fill_(0 if name == "rows" else -INFINITY)
            values[question, place] = kept

    def raise_bound(self, known: Tensor) -> None:
        """Use a lower bound of each question's k-th best true score that was found elsewhere."""
        self.bound = torch.maximum(self.bound, known)

    def pairs(self) -> tuple[Tensor, Tensor]:
        """All candidates that are left: questions (rising) and rows."""
        self.prune()
        question, column = (self.upper > -INFINITY).nonzero(as_tuple=True)
        return question, self.rows[question, column]


def least_of_best(scores: Tensor, k: int) -> Tensor:
    """The k-th largest number of each line (m × at least k)."""
    return torch.topk(scores, k, sorted=False).values.amin(1)


def _positions(question: Tensor, count: Tensor) -> Tensor:
    """0, 1, 2 … within each run of equal questions; `count` is the length of each question's run."""
    starts = count.cumsum(0) - count
    return torch.arange(len(question), device=question.device) - starts[question]
