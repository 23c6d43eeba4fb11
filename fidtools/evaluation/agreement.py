"""How far two scores of the same passages agree: the paper's monitors (appendix A.2) and rank correlations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fidtools.data.records import Question
from fidtools.evaluation.scores import Finish, Unmeasured
from fidtools.metrics.rank_correlation import PERSISTENCE, kendall, rank_biased_overlap, spearman
from fidtools.metrics.rankings import cover_depth, inversions, topk_overlap
from fidtools.typing import Floats

CELLS = 1 << 22


KINDS: dict[str, tuple[str, str, Callable[[Floats, Floats, int], Floats]]] = {
    "kendall": ("", "Kendall's τ-b", lambda gold, other, k: kendall(gold, other)),
    "spearman": ("", "Spearman's ρ", lambda gold, other, k: spearman(gold, other)),
    "rbo": ("", f"rank-biased overlap, p = {PERSISTENCE}", lambda gold, other, k: rank_biased_overlap(gold, other)),
    "inversions": ("pairs", "pairs in opposite order", lambda gold, other, k: inversions(gold, other).astype(float)),
    "overlap": ("%", "share of the first k in common", lambda gold, other, k: 100 * topk_overlap(gold, other, k)),
    "cover": ("passages", "read to see the first k", lambda g, o, k: cover_depth(g, o, k).astype(float)),
}


@dataclass
class Agreement:
    """One way in which score `other` agrees with score `gold`, over the passages that have both."""

    kind: str
    gold: str
    other: str
    ks: Sequence[int] = ()
    longest: int = 0

    @property
    def names(self) -> list[str]:
        """The kind, with its cut-offs if it has any."""
        return [f"{self.kind}@{k}" for k in self.ks] or [self.kind]

    @property
    def unit(self) -> str:
        """What is counted."""
        return KINDS[self.kind][0]

    @property
    def by(self) -> str:
        """The kind in words, and the two scores."""
        return f"{KINDS[self.kind][1]}: {self.other} against {self.gold}"

    def measure(self, questions: Sequence[Question]) -> list[dict[str, float] | Unmeasured]:
        """The agreement on every question; questions with as many passages are computed together."""
        why = Unmeasured(f"have no two passages with both scores, {self.gold} and {self.other}")
        found: list[dict[str, float] | Unmeasured] = [why] * len(questions)
        pairs = [self._pairs(question) for question in questions]
        by_length = defaultdict(list)
        for row, pair in enumerate(pairs):
            by_length[len(pair)].append(row)
        for length, rows in by_length.items():
            if length > 1:
                scores = np.array([pairs[row] for row in rows])  # (questions, passages, 2)
                self.longest = max(self.longest, length)
                columns = [self._values(scores, k) for k in self.ks or (0,)]
                for row, values in zip(rows, zip(*columns, strict=True), strict=True):
                    found[row] = dict(zip(self.names, map(float, values), strict=True))
        return found

    def _values(self, scores: Floats, k: int) -> Floats:
        step = max(1, CELLS // scores.shape[1] ** 2)  # some kinds compare every passage with every other
        parts = [scores[start : start + step] for start in range(0, len(scores), step)]
        return np.concatenate([KINDS[self.kind][2](part[:, :, 0], part[:, :, 1], k) for part in parts])

    def _pairs(self, question: Question) -> list[tuple[float, float]]:
        pairs = []
        for passage in question.ctxs or ():
            known = {"score": passage.score, **passage.scores}
            gold, other = known.get(self.gold), known.get(self.other)
            if gold is not None and other is not None:
                pairs.append((gold, other))
        return pairs

    def finish(self) -> Finish:
        """A cut-off that takes in every passage says nothing."""
        why = f"no question has more than {self.longest} passages with both scores"
        return Finish({f"{self.kind}@{k}": why for k in self.ks if k >= self.longest})
