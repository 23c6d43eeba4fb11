"""The candidates of every question during a pass over the corpus, none of which may be dropped too early."""

from __future__ import annotations

import torch
from torch import Tensor

INFINITY = float("inf")
PRUNE_FACTOR = 2  # prune after this many new candidates per question, in multiples of k: often enough to keep few
CAPACITY_FACTOR = 4  # candidates that a question may have, in multiples of k
MIN_CAPACITY = 1024
CANDIDATE_BYTES = 4 + 4 + 8  # two bounds and a row


def capacity(k: int) -> int:
    """How many candidates a question may have."""
    return max(MIN_CAPACITY, CAPACITY_FACTOR * k)


def bytes_of_question(k: int) -> int:
    """The memory of one question's candidates."""
    return capacity(k) * CANDIDATE_BYTES


class CandidateBuffer:
    """Per question the rows that may still be among its k best, with bounds on their true scores.

    A row's true score lies in [lower, upper]. `threshold` (m) is the k-th largest `lower` so far: k rows have a true
    score of at least that, so a row whose `upper` is below it can never be among the k best. Nothing else is ever
    dropped. A question with more candidates than fit has `overflowed`: its result must not be used.
    """

    def __init__(self, questions: int, k: int, device: torch.device) -> None:
        self.k, self.capacity = k, capacity(k)
        self.lower = torch.full((questions, self.capacity), -INFINITY, device=device)
        self.upper = torch.full((questions, self.capacity), -INFINITY, device=device)
        self.rows = torch.zeros((questions, self.capacity), dtype=torch.int64, device=device)
        self.count = torch.zeros(questions, dtype=torch.int64, device=device)
        self.threshold = torch.full((questions,), -INFINITY, device=device)
        self.overflowed = torch.zeros(questions, dtype=torch.bool, device=device)
        self._added_since_pruning = 0

    def add(self, question: Tensor, row: Tensor, lower: Tensor, upper: Tensor) -> None:
        """Add candidates, given as four tensors of one length, of which `question` ascends."""
        arrivals = torch.bincount(question, minlength=len(self.count))
        if bool((self.count + arrivals > self.capacity).any()):
            # Pruning raises the threshold, which may make room, and may exclude some of the new ones as well.
            self.prune()
            keep = (upper >= self.threshold[question]).nonzero()[:, 0]
            question, row, lower, upper = (part[keep] for part in (question, row, lower, upper))
            arrivals = torch.bincount(question, minlength=len(self.count))
            self._give_up(self.count + arrivals > self.capacity)
            keep = (~self.overflowed[question]).nonzero()[:, 0]
            question, row, lower, upper = (part[keep] for part in (question, row, lower, upper))
            arrivals[self.overflowed] = 0
        place = self.count[question] + _positions(question, arrivals)
        self.lower[question, place], self.upper[question, place], self.rows[question, place] = lower, upper, row
        self.count += arrivals
        self._added_since_pruning += len(question)
        if self._added_since_pruning > PRUNE_FACTOR * self.k * len(self.count):
            self.prune()

    def _give_up(self, overflowed: Tensor) -> None:
        """Stop collecting for these questions: with an infinite threshold they cost nothing in the rest of the pass."""
        self.overflowed |= overflowed
        self.threshold[self.overflowed] = INFINITY
        self.count[self.overflowed] = 0
        self.lower[self.overflowed] = self.upper[self.overflowed] = -INFINITY

    def prune(self) -> None:
        """Raise the threshold to what is known by now, drop the candidates below it, and close the gaps they leave."""
        self._added_since_pruning, used = 0, int(self.count.max())
        if used >= self.k:
            self.raise_threshold(kth_largest(self.lower[:, :used], self.k))
        keep = self.upper[:, :used] >= self.threshold[:, None]
        keep &= self.upper[:, :used] > -INFINITY  # unused places
        question, column = keep.nonzero(as_tuple=True)
        self.count = keep.sum(1)
        place = _positions(question, self.count)
        for name in ("lower", "upper", "rows"):
            values = getattr(self, name)[:, :used]
            kept = values[question, column]
            values.fill_(0 if name == "rows" else -INFINITY)
            values[question, place] = kept

    def raise_threshold(self, known: Tensor) -> None:
        """Use a lower bound on each question's k-th best true score (m) that was found elsewhere."""
        self.threshold = torch.maximum(self.threshold, known)

    def known(self) -> Tensor:
        """The threshold (m), or −∞ for a question that has overflowed: a lower bound for whoever has other passages."""
        return self.threshold.masked_fill(self.overflowed, -INFINITY)

    def absorb(self, other: CandidateBuffer) -> None:
        """Add the candidates of the same questions among other passages."""
        self.raise_threshold(other.known())
        usable = (other.upper >= self.threshold[:, None]) & (other.upper > -INFINITY)  # that is in unused places
        question, column = usable.nonzero(as_tuple=True)
        self.add(question, *(part[question, column] for part in (other.rows, other.lower, other.upper)))
        self._give_up(other.overflowed)

    def pairs(self) -> tuple[Tensor, Tensor]:
        """All candidates that are left: questions (ascending) and rows."""
        self.prune()
        question, column = (self.upper > -INFINITY).nonzero(as_tuple=True)
        return question, self.rows[question, column]


def kth_largest(scores: Tensor, k: int) -> Tensor:
    """The k-th largest number of each line (m × at least k)."""
    return torch.topk(scores, k, sorted=False).values.amin(1)


def _positions(question: Tensor, count: Tensor) -> Tensor:
    """0, 1, 2 … within each run of equal questions; `count` is the length of each question's run."""
    starts = count.cumsum(0) - count
    return torch.arange(len(question), device=question.device) - starts[question]
