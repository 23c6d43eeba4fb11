"""How far two scores of the same passages agree: the paper's monitors (appendix A.2) and rank correlations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fidtools.data.records import Question
from fidtools.evaluation.measure import Summary, Unmeasured, Values
from fidtools.metrics.rank_correlation import PERSISTENCE, kendall, rank_biased_overlap, spearman
from fidtools.metrics.rankings import cover_depth, inversions, topk_overlap
from fidtools.typing import Floats

MAX_CELLS = 1 << 22  # of one array, in memory at a time


@dataclass(frozen=True)
class AgreementKind:
    """One way to compare two scores. `compute` takes gold and other scores, (questions, passages) each, and k."""

    description: str
    unit: str
    compute: Callable[[Floats, Floats, int], Floats]
    has_cutoff: bool = False
    lower_is_better: bool = False


KINDS = {
    "kendall": AgreementKind("Kendall's τ-b", "", lambda gold, other, k: kendall(gold, other)),
    "spearman": AgreementKind("Spearman's ρ", "", lambda gold, other, k: spearman(gold, other)),
    "rbo": AgreementKind(
        f"rank-biased overlap, p = {PERSISTENCE}", "", lambda gold, other, k: rank_biased_overlap(gold, other)
    ),
    "inversions": AgreementKind(
        "pairs in opposite order",
        "pairs",
        lambda gold, other, k: inversions(gold, other).astype(float),
        lower_is_better=True,
    ),
    "overlap": AgreementKind(
        "share of the first k in common",
        "%",
        lambda gold, other, k: 100 * topk_overlap(gold, other, k),
        has_cutoff=True,
    ),
    "cover": AgreementKind(
        "read to see the first k",
        "passages",
        lambda gold, other, k: cover_depth(gold, other, k).astype(float),
        has_cutoff=True,
        lower_is_better=True,
    ),
}
LOWER_IS_BETTER = tuple(name for name, kind in KINDS.items() if kind.lower_is_better)


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
        return KINDS[self.kind].unit

    @property
    def method(self) -> str:
        """The kind in words, and the two scores."""
        return f"{KINDS[self.kind].description}: {self.other} against {self.gold}"

    def measure(self, questions: Sequence[Question]) -> list[Values]:
        """The agreement on every question; questions with the same number of passages are computed together.

        A cut-off that includes all passages of a question says nothing about their order, and is NaN there.
        """
        reason = Unmeasured(f"have no two passages with both scores, {self.gold} and {self.other}")
        found: list[Values] = [reason] * len(questions)
        pairs = [self._pairs(question) for question in questions]
        by_length = defaultdict(list)
        for row, pair in enumerate(pairs):
            by_length[len(pair)].append(row)
        for length, rows in by_length.items():
            if length > 1:
                self.longest = max(self.longest, length)
                values = self._values(np.array([pairs[row] for row in rows]))
                for row, of_row in zip(rows, values, strict=True):
                    found[row] = of_row
        return found

    def _values(self, scores: Floats) -> list[dict[str, float]]:
        """The metrics of (questions, passages, 2) scores, per question."""
        columns = [self._column(scores, k) for k in self.ks or (0,)]
        return [dict(zip(self.names, map(float, row), strict=True)) for row in zip(*columns, strict=True)]

    def _column(self, scores: Floats, k: int) -> Floats:
        if k >= scores.shape[1]:
            return np.full(len(scores), np.nan)
        step = max(1, MAX_CELLS // scores.shape[1] ** 2)  # some kinds compare every passage with every other
        parts = [scores[start : start + step] for start in range(0, len(scores), step)]
        return np.concatenate([KINDS[self.kind].compute(part[:, :, 0], part[:, :, 1], k) for part in parts])

    def _pairs(self, question: Question) -> list[tuple[float, float]]:
        pairs = []
        for passage in question.ctxs or ():
            known = {"score": passage.score, **passage.scores}
            gold, other = known.get(self.gold), known.get(self.other)
            if gold is not None and other is not None:
                pairs.append((gold, other))
        return pairs

    def finalize(self) -> Summary:
        """Suppresses cut-offs that include every passage of every question."""
        reason = f"no question has more than {self.longest} passages with both scores"
        return Summary({f"{self.kind}@{k}": reason for k in self.ks if k >= self.longest})
