"""Exact search: every passage is compared with every question, in blocks, with fast products that lose no true hit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from fidtools.compute.device import choose_device
from fidtools.compute.precision import bf16_units
from fidtools.search.products import (
    Block,
    Factors,
    Product,
    check_finite,
    largest_of_groups,
    multiply,
    prepare_block,
)
from fidtools.search.ranked import Ranked
from fidtools.search.rescoring import brute_force, rescored
from fidtools.search.survivors import INFINITY, Survivors, least_of_best
from fidtools.search.vectors import Vectors, blocks
from fidtools.typing import Array

GROUP = 16  # passages whose best score is compared at once
FLOAT = 4
LARGEST_BLOCK = 4096  # so that what is made of it stays in the processor's cache
LARGEST_SCORES = 1 << 24  # bytes of a block's scores, for the same reason
SAMPLE = 4096  # passages whose mean stands for the corpus's
DEFAULT_MEMORY = 1 << 30
FEW = 64  # questions
SMALL = 1 << 15  # pairs of question and passage that are scored exactly at once
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
    if len(asked) * vectors.shape[0] <= SMALL:
        return brute_force(asked, vectors, k)
    together = _questions_at_once(len(questions), vectors.shape[1], k, memory)
    parts = [_search(part, vectors, k, memory, kind) for part in torch.split(asked, together)]
    return Ranked(np.concatenate([p.rows for p in parts]), np.concatenate([p.scores for p in parts]))


def fastest_product(questions: int) -> Product:
    """bf16 where the device has units for it and there are questions enough to pay for rounding the passages."""
    return "bf16" if questions >= FEW and bf16_units(choose_device())[0] else "float32"


def _questions_at_once(questions: int, dim: int, k: int, memory: int) -> int:
    """So many that their candidates and vectors take at most half of the memory."""
    each = 4 * dim * FLOAT + _room(k) * (2 * FLOAT + 8)
    return max(1, min(questions, memory // (2 * each)))


def _room(k: int) -> int:
    return max(1024, ROOM * k)


def _block_rows(questions: int, shares: int, dim: int, score_bytes: int, memory: int) -> int:
    """So many that two blocks' vectors (stored, shifted, rounded) and the scores take a quarter of the memory."""
    rows = memory // (4 * (4 * dim * FLOAT + 2 * questions * FLOAT))
    rows = min(rows, LARGEST_BLOCK, LARGEST_SCORES * shares // (questions * score_bytes))
    return max(GROUP, rows // GROUP * GROUP)


def _search(questions: Tensor, vectors: Vectors, k: int, memory: int, product: Product) -> Ranked:
    shares = _shares(questions)
    factors = [Factors.of(share, product) for share in shares]
    bytes_each = factors[0].values.itemsize
    size = _block_rows(len(questions), len(shares), vectors.shape[1], bytes_each, memory)
    sieves = [Sieve(part, k, size) for part in factors]
    center = _mean(vectors, questions.device)
    with _workers(len(sieves)) as pool:
        at_work: list[Future[None]] = []
        for start, stored in blocks(vectors, size):
            block = prepare_block(start, stored, center, product, GROUP)
            _finish(at_work)
            at_work = [pool.submit(sieve.take, block) for sieve in sieves]
        _finish(at_work)
    found = rescored(questions, vectors, _pairs(sieves), k, memory)
    crowded = torch.cat([sieve.survivors.crowded for sieve in sieves]).nonzero()[:, 0]
    if len(crowded):  # more near-ties than there is room for: better products tell them apart, in the end exact ones
        rest = questions[crowded]
        better = _search(rest, vectors, k, memory, "float32") if product == "bf16" else brute_force(rest, vectors, k)
        found.rows[crowded.cpu().numpy()], found.scores[crowded.cpu().numpy()] = better.rows, better.scores
    return found


def _shares(questions: Tensor) -> list[Tensor]:
    """The questions (m × d) in parts, one for each thread of a CPU; all together where they are few, or on a GPU."""
    parts = min(torch.get_num_threads(), len(questions) // FEW) if questions.device.type == "cpu" else 1
    return list(torch.split(questions, -(-len(questions) // max(1, parts))))


@contextmanager
def _workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that share out PyTorch's: a search is many small steps, which one thread takes faster than a team."""
    threads = torch.get_num_threads()
    each = max(1, threads // count)
    torch.set_num_threads(each)
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(each,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def _finish(at_work: list[Future[None]]) -> None:
    for future in at_work:
        future.result()


def _pairs(sieves: list[Sieve]) -> tuple[Tensor, Tensor]:
    """Questions (rising, counted over all shares) and rows of what is left."""
    found = [sieve.survivors.pairs() for sieve in sieves]
    starts = accumulate((len(sieve.survivors.count) for sieve in sieves), initial=0)
    questions = [question + start for (question, _), start in zip(found, starts, strict=False)]
    return torch.cat(questions), torch.cat([row for _, row in found])


def _mean(vectors: Vectors, device: torch.device) -> Tensor:
    """The mean of a sample of passages. Any vector would do; near the true mean, products lose least."""
    rows = vectors.shape[0]
    picked = np.unique(np.linspace(0, rows - 1, min(rows, SAMPLE)).astype(np.int64))
    sample = torch.from_numpy(vectors.take(picked).astype(np.float32))
    mean = sample.mean(0).to(device)
    return torch.where(mean.isfinite(), mean, torch.zeros_like(mean))


class Sieve:
    """Some questions, and the passages that may be among their `k` best; blocks hold at most `size` passages."""

    def __init__(self, factors: Factors, k: int, size: int) -> None:
        questions, device = len(factors.values), factors.values.device
        self.factors, self.survivors = factors, Survivors(questions, k, _room(k), device)
        self._products = factors.values.new_empty(questions * size)

    def take(self, block: Block) -> None:
        """Hand the survivors what a block has above their bound."""
        factors, survivors = self.factors, self.survivors
        scores = multiply(factors.values, block.values, self._products)
        scores[:, block.rows :] = -INFINITY
        if block.start == 0:
            self._first_bound(scores, block)
        least = factors.least(survivors.bound, factors.slack(block.sizes.largest())[:, 0])
        groups = largest_of_groups(scores, GROUP, least)
        question, group = (groups >= least[:, None]).nonzero(as_tuple=True)
        inside = scores.view(len(scores), GROUP, -1)[question, :, group].float()  # (candidate groups, GROUP)
        candidate, place = ((inside >= least[question, None]) & (inside > -INFINITY)).nonzero(as_tuple=True)
        score, question = inside[candidate, place], question[candidate]
        column = group[candidate] + place * groups.shape[1]
        error = factors.slack_of(question, block.sizes.of(column)) + factors.rounding * score.abs()
        kept = (score + error >= survivors.bound[question]).nonzero()[:, 0]  # now with each passage's own error
        question, row, score, error = (part[kept] for part in (question, block.start + column, score, error))
        survivors.add(question, row, score - error, score + error)

    def _first_bound(self, scores: Tensor, block: Block) -> None:
        """k groups have a passage above the k-th largest lower bound of groups: so there are k passages."""
        factors, survivors = self.factors, self.survivors
        groups = largest_of_groups(scores, GROUP)
        if groups.shape[1] >= survivors.k:
            errors = factors.slack(block.sizes.largest_of_groups(GROUP)) + factors.rounding * groups.abs()
            survivors.raise_bound(least_of_best(groups - errors, survivors.k))
