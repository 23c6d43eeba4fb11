"""Agreement of the student's ranking with the teacher's on the dev set (Izacard & Grave, appendix A.2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fidtools.compute.ranks import gather
from fidtools.metrics.rankings import cover_depth, inversions, topk_overlap
from fidtools.training.ranking_losses import kl
from fidtools.typing import Floats, Ints

DEPTHS = (1, 5, 20)
Scored = tuple[float, Floats, NDArray[np.float32]]
"""A question's loss, its teacher scores (n,) and its student scores (n,)."""


def monitor(scored: Sequence[Scored], temperature: float = 1.0, teacher_temperature: float = 1.0) -> dict[str, float]:
    """Means over the questions of all ranks: loss, KL, inversions, and overlap@k and cover@k for k = 1, 5, 20.

    Only questions with more than k passages count for k. Ties in the student's scores count as errors.
    """
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)

    def add(name: str, values: Floats | Ints) -> None:
        sums[name] += float(values.sum())
        counts[name] += len(values)

    add("loss", np.array([loss for loss, _, _ in scored]))
    for teacher, student in _by_passage_count(scored):
        mask = torch.ones(teacher.shape, dtype=torch.bool)
        scores = torch.from_numpy(student), torch.from_numpy(teacher)
        add("kl", kl(*scores, mask, temperature=temperature, teacher_temperature=teacher_temperature).numpy())
        add("inversions", inversions(teacher, student))
        for k in DEPTHS:
            if k < teacher.shape[1]:
                add(f"overlap@{k}", topk_overlap(teacher, student, k))
                add(f"cover@{k}", cover_depth(teacher, student, k))
    return _means(sums, counts)


def mean_over_ranks(values: Sequence[float]) -> float | None:
    """The mean of all ranks' values; None where there are none."""
    everything = gather((float(sum(values)), len(values)))
    total = sum(count for _, count in everything)
    return sum(part for part, _ in everything) / total if total else None


def _by_passage_count(scored: Sequence[Scored]) -> list[tuple[Floats, Floats]]:
    groups: dict[int, list[tuple[Floats, Floats]]] = defaultdict(list)
    for _, teacher, student in scored:
        groups[len(teacher)].append((teacher, student.astype(np.float64)))
    return [(np.stack([t for t, _ in rows]), np.stack([s for _, s in rows])) for rows in groups.values()]


def _means(sums: dict[str, float], counts: dict[str, int]) -> dict[str, float]:
    everything = gather((dict(sums), dict(counts)))
    names = ["loss", "kl", "inversions", *(f"{what}@{k}" for k in DEPTHS for what in ("overlap", "cover"))]
    totals = {name: sum(counts.get(name, 0) for _, counts in everything) for name in names}
    return {name: sum(sums.get(name, 0.0) for sums, _ in everything) / total for name, total in totals.items() if total}
