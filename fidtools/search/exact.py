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
from fidtools.search.ranked import Ranked, best, exact_scores, merged
from fidtools.search.survivors import INFINITY, Survivors
from fidtools.search.vectors import Vectors

Array = np.ndarray[Any, Any]
GROUP = 16  # passages whose best score is compared at once
FLOAT = 4
LARGEST_BLOCK = 4096  # so that what is made of it stays in the processor's cache
RESCORED = 8192  # pairs of question and passage scored at once
SAMPLE = 4096  # passages whose mean stands for the corpus's
DEFAULT_MEMORY = 1 << 30
FEW = 64  # questions
BRUTE_BLOCK = 1024
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
    kind = product or fastest_product(len(questions))
    k = min(k, vectors.shape[0])
    if not k or not len(questions):
        return Ranked(np.empty((len(questions), k), np.int64), np.empty((len(questions), k), np.float32))
    asked = torch.from_numpy(np.ascontiguousarray(questions, dtype=np.float32)).to(device)
    check_finite(torch.linalg.vector_norm(asked, dim=1), "question")
    together = _questions_at_once(len(questions), vectors.shape[1], k, memory)
    parts = [_search(part, vectors, k, memory, kind) for part in torch.split(asked, together)]
    return Ranked(np.concatenate([p.rows for p in parts]), np.concatenate([p.scores for p in parts]))


def fastest_product(questions: int) -> Product:
    """bf16 where the device has units for it and there are questions enough to pay for rounding the passages."""
    return "bf16" if questions >= FEW and bf16_units(choose_device())[0] else "float32"


def _questions_at_once(questions: int, dim: int, k: int, memory: int) -> int:
    """So many that their candidates and vectors take at most half of the memory."""
    each = 2 * dim * FLOAT + _room(k) * (2 * FLOAT + 8)
    return max(1, min(questions, memory // (2 * each)))


def _room(k: int) -> int:
    return max(1024, ROOM * k)


def _block_rows(questions: int, dim: int, k: int, memory: int) -> int:
    """So many that their vectors (as stored, shifted and rounded) and scores take at most a quarter of the memory."""
    rows = memory // (4 * (3 * dim * FLOAT + 2 * questions * FLOAT))
    return max(GROUP, min(rows, LARGEST_BLOCK) // GROUP * GROUP)


def _search(questions: Tensor, vectors: Vectors, k: int, memory: int, product: Product) -> Ranked:
    rows, dim = vectors.shape
    center = _mean(vectors, questions.device)
    factors = Factors.of(questions, product)
    survivors = Survivors(len(questions), k, _room(k), questions.device)
    size = _block_rows(len(questions), dim, k, memory)
    buffer = factors.values.new_empty(len(questions) * size)
    for start in range(0, rows, size):
        stored = vectors.read(start, min(start + size, rows))
        _filter(prepare_block(start, stored, center, product, GROUP), factors, survivors, buffer)
    found = _rescored(questions, vectors, survivors, k, memory)
    crowded = survivors.crowded.nonzero()[:, 0]
    if len(
        crowded
    ):  # more near-ties than there is room for: tell them apart by better products, in the end by exact ones
        rest = questions[crowded]
        better = _search(rest, vectors, k, memory, "float32") if product == "bf16" else _brute_force(rest, vectors, k)
        found.rows[crowded.cpu().numpy()], found.scores[crowded.cpu().numpy()] = better.rows, better.scores
    return found


def _mean(vectors: Vectors, device: torch.device) -> Tensor:
    """The mean of a sample of passages. Any vector would do; near the true mean, products lose least."""
    rows = vectors.shape[0]
    picked = np.unique(np.linspace(0, rows - 1, min(rows, SAMPLE)).astype(np.int64))
    sample = torch.from_numpy(vectors.take(picked).astype(np.float32))
    mean = sample.mean(0).to(device)
    return torch.where(mean.isfinite(), mean, torch.zeros_like(mean))


def _filter(block: Block, factors: Factors, survivors: Survivors, buffer: Tensor) -> None:
    """Hand the survivors what a block has above their bound. `buffer` takes the products (m × at least B, flat)."""
    columns = len(block.values)
    scores = buffer[: len(factors.values) * columns].view(-1, columns)
    torch.mm(factors.values, block.values.T, out=scores)
    scores[:, block.rows :] = -INFINITY
    grouped = scores.view(len(scores), GROUP, -1)  # passage i belongs to group i mod (B / 16): quick to take maxima of
    groups = grouped.amax(1).float()
    if (
        block.start == 0 and groups.shape[1] >= survivors.k
    ):  # k groups have a passage above that: so there are k passages
        errors = factors.slack(block.sizes.largest_of_groups(GROUP)) + factors.rounding * groups.abs()
        survivors.raise_bound(torch.topk(groups - errors, survivors.k).values[:, -1])
    least = factors.least(survivors.bound, factors.slack(block.sizes.largest())[:, 0])
    question, group = (groups >= least[:, None]).nonzero(as_tuple=True)
    inside = grouped[question, :, group].float()  # (candidate groups, GROUP)
    candidate, place = ((inside >= least[question, None]) & (inside > -INFINITY)).nonzero(as_tuple=True)
    score, question = inside[candidate, place], question[candidate]
    column = group[candidate] + place * groups.shape[1]
    error = factors.slack_of(question, block.sizes.of(column)) + factors.rounding * score.abs()
    kept = (score + error >= survivors.bound[question]).nonzero()[:, 0]  # now with each passage's own error
    question, row, score, error = (part[kept] for part in (question, block.start + column, score, error))
    survivors.add(question, row, score - error, score + error)


def _rescored(questions: Tensor, vectors: Vectors, survivors: Survivors, k: int, memory: int) -> Ranked:
    """The best `k` of the survivors by their exact scores."""
    asked = questions.cpu().numpy()
    question, row = (part.cpu().numpy() for part in survivors.pairs())
    rows = np.full((len(asked), k), -1, np.int64)
    scores = np.full((len(asked), k), -np.inf, np.float32)
    exact = np.empty(len(row), np.float32)
    order = np.argsort(row, kind="stable")  # the file is read once, forward
    step = max(1, min(RESCORED, memory // (16 * asked.shape[1] * 8)))
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


def _brute_force(questions: Tensor, vectors: Vectors, k: int) -> Ranked:
    """Every passage's exact score for each question (m × d), by blocks."""
    asked = questions.cpu().numpy()
    found = Ranked(np.empty((len(asked), 0), np.int64), np.empty((len(asked), 0), np.float32))
    for start in range(0, vectors.shape[0], BRUTE_BLOCK):
        stored = vectors.read(start, min(start + BRUTE_BLOCK, vectors.shape[0]))
        scores = np.stack([exact_scores(np.broadcast_to(question, stored.shape), stored) for question in asked])
        rows = np.broadcast_to(np.arange(start, start + len(stored)), scores.shape)
        found = merged([found, Ranked(rows, scores)], k)
    return found
