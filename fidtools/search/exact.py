"""Exact search: every passage is compared with every question, in blocks, with fast products that lose no true hit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fidtools.devices import bf16_units, choose_device
from fidtools.search.products import (
    Block,
    Factors,
    Product,
    check_finite,
    prepare_block,
)
from fidtools.search.ranked import Ranked, best, exact_scores
from fidtools.search.survivors import INFINITY, Survivors
from fidtools.search.vectors import Vectors

Array = np.ndarray[Any, Any]
GROUP = 16  # passages whose best score is compared at once
FLOAT = 4
SAMPLE = 4096  # passages whose mean stands for the corpus's
DEFAULT_MEMORY = 1 << 30
ROOM = 4  # candidates kept per question, in multiples of k


def search(
    questions: Array, vectors: Vectors, k: int, *, memory: int = DEFAULT_MEMORY, product: Product | None = None
) -> Ranked:
    """The `k` passages with the greatest inner product for each question (m × d), the same as by brute force.

    The products are bf16 where the device has units for it, with a bound on their error: a passage is dropped only when
    k others are surely better. What is left is scored again in float64. Scores are those inner products rounded to
    float32; equal ones are listed by row. `memory` bounds what is held, in bytes, whatever the size of the corpus.
    Raises DataError for vectors that are not finite.
    """
    device = choose_device()
    kind = product or fastest_product()
    k = min(k, vectors.shape[0])
    if not k or not len(questions):
        return Ranked(np.empty((len(questions), k), np.int64), np.empty((len(questions), k), np.float32))
    asked = torch.from_numpy(np.ascontiguousarray(questions, dtype=np.float32)).to(device)
    check_finite(torch.linalg.vector_norm(asked, dim=1), "question")
    together = _questions_at_once(len(questions), vectors.shape[1], k, memory)
    parts = [_search(part, vectors, k, memory, kind) for part in torch.split(asked, together)]
    return Ranked(np.concatenate([p.rows for p in parts]), np.concatenate([p.scores for p in parts]))


def fastest_product() -> Product:
    """bf16 where the device has units for it."""
    return "bf16" if bf16_units(choose_device())[0] else "float32"


def _questions_at_once(questions: int, dim: int, k: int, memory: int) -> int:
    """So many that their candidates and vectors take at most half of the memory."""
    each = 2 * dim * FLOAT + _room(k) * (2 * FLOAT + 8)
    return max(1, min(questions, memory // (2 * each)))


def _room(k: int) -> int:
    return max(1024, ROOM * k)


def _block_rows(questions: int, dim: int, k: int, memory: int) -> int:
    """So many that their vectors (as stored, shifted and rounded) and scores take at most a quarter of the memory."""
    rows = memory // (4 * (3 * dim * FLOAT + 2 * questions * FLOAT))
    return max(GROUP, min(rows, 16384) // GROUP * GROUP)


def _search(questions: Tensor, vectors: Vectors, k: int, memory: int, product: Product) -> Ranked:
    rows, dim = vectors.shape
    center = _mean(vectors, questions.device)
    factors = Factors.of(questions, product)
    survivors = Survivors(len(questions), k, _room(k), questions.device)
    size = _block_rows(len(questions), dim, k, memory)
    for start in range(0, rows, size):
        stored = vectors.read(start, min(start + size, rows))
        _filter(prepare_block(start, stored, center, product, GROUP), factors, survivors)
    found = _rescored(questions, vectors, survivors, k, memory)
    crowded = survivors.crowded.nonzero()[:, 0].cpu().numpy()
    for question in crowded.tolist():  # more near-ties than there is room for: compare that question with everything
        single = _brute_force(questions[question].cpu().numpy(), vectors, k, size)
        found.rows[question], found.scores[question] = single.rows[0], single.scores[0]
    return found


def _mean(vectors: Vectors, device: torch.device) -> Tensor:
    """The mean of a sample of passages. Any vector would do; near the true mean, products lose least."""
    rows = vectors.shape[0]
    picked = np.unique(np.linspace(0, rows - 1, min(rows, SAMPLE)).astype(np.int64))
    sample = torch.from_numpy(vectors.take(picked).astype(np.float32))
    mean = sample.mean(0).to(device)
    return torch.where(mean.isfinite(), mean, torch.zeros_like(mean))


def _filter(block: Block, factors: Factors, survivors: Survivors) -> None:
    """Hand the survivors what a block has above their bound."""
    scores = (factors.values @ block.values.T).float()  # (questions, rows and padding)
    scores[:, block.rows :] = -INFINITY
    slack = factors.slack(block)[:, None]
    groups = scores.view(len(scores), -1, GROUP).amax(2)  # the best of each group
    if groups.shape[1] >= survivors.k:  # k groups have a passage of at least that score: so have k passages
        kth = torch.topk(groups, survivors.k).values[:, -1:]
        survivors.raise_bound((kth - slack - factors.rounding * kth.abs())[:, 0])
    question, group = _reaching(groups, slack, factors.rounding, survivors.bound[:, None])
    inside = scores.view(len(scores), -1, GROUP)[question, group]  # (candidate groups, GROUP)
    errors = slack[question] + factors.rounding * inside.abs()
    candidate, place = ((inside + errors >= survivors.bound[question, None]) & (inside > -INFINITY)).nonzero(
        as_tuple=True
    )
    score, error = inside[candidate, place], errors[candidate, place]
    row = block.start + group[candidate] * GROUP + place
    survivors.add(question[candidate], row, score - error, score + error)


def _reaching(groups: Tensor, slack: Tensor, rounding: float, bound: Tensor) -> tuple[Tensor, Tensor]:
    """Questions (rising) and groups whose best passage may reach the question's bound."""
    found = (groups + slack + rounding * groups.abs() >= bound) & (groups > -INFINITY)
    question, group = found.nonzero(as_tuple=True)
    return question, group


def _rescored(questions: Tensor, vectors: Vectors, survivors: Survivors, k: int, memory: int) -> Ranked:
    """The best `k` of the survivors by their exact scores."""
    asked = questions.cpu().numpy()
    question, row = (part.cpu().numpy() for part in survivors.pairs())
    rows = np.full((len(asked), k), -1, np.int64)
    scores = np.full((len(asked), k), -np.inf, np.float32)
    exact = np.empty(len(row), np.float32)
    order = np.argsort(row, kind="stable")  # the file is read once, forward
    step = max(1, memory // (16 * asked.shape[1] * 8))
    for start in range(0, len(order), step):
        some = order[start : start + step]
        needed, place = np.unique(row[some], return_inverse=True)
        exact[some] = exact_scores(asked[question[some]], vectors.take(needed)[place])
    cuts = np.searchsorted(question, np.arange(len(asked) + 1))
    for i, (low, high) in enumerate(pairwise(cuts)):
        if low < high:
            ranked = best(row[None, low:high], exact[None, low:high], k)
            rows[i], scores[i] = ranked.rows[0], ranked.scores[0]
    return Ranked(rows, scores)


def _brute_force(question: Array, vectors: Vectors, k: int, size: int) -> Ranked:
    """Every passage's exact score for one question (d), by blocks."""
    found = Ranked(np.empty((1, 0), np.int64), np.empty((1, 0), np.float32))
    for start in range(0, vectors.shape[0], size):
        stored = vectors.read(start, min(start + size, vectors.shape[0]))
        scores = exact_scores(np.broadcast_to(question, stored.shape), stored)
        rows = np.arange(start, start + len(stored))
        found = best(np.concatenate([found.rows[0], rows])[None], np.concatenate([found.scores[0], scores])[None], k)
    return found
