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
from fidtools.data.top_k import TopK
from fidtools.search.block_filter import GROUP_SIZE, BlockFilter
from fidtools.search.candidates import capacity
from fidtools.search.products import Product, RoundedQuestions, check_finite, prepare_block
from fidtools.search.rescoring import brute_force, rescore
from fidtools.search.vectors import Vectors, vector_blocks
from fidtools.typing import Array

DEFAULT_MEMORY_BYTES = 1 << 30
FLOAT32_BYTES = 4
CANDIDATE_BYTES = 2 * FLOAT32_BYTES + 8  # two bounds and a row
MAX_BLOCK_ROWS = 4096  # so that a block of passages stays in the processor's cache
MAX_SCORE_BYTES = 1 << 24  # per thread; so that the scores of a block stay in the cache
MEAN_SAMPLE_ROWS = 4096  # passages whose mean stands for the corpus's
MIN_QUESTIONS_BF16 = 64  # for fewer, rounding the passages costs more than the faster product saves
MIN_QUESTIONS_PER_THREAD = 64
BRUTE_FORCE_PAIRS = 1 << 15  # pairs of question and passage that are scored exactly at once


def search(
    questions: Array,
    vectors: Vectors,
    k: int,
    *,
    memory: int = DEFAULT_MEMORY_BYTES,
    product: Product | None = None,
) -> TopK:
    """The `k` passages with the greatest inner product for each question (m × d), the same as by brute force.

    The products are bf16 where the device has units for it, with a bound on their error: a passage is dropped only when
    k others are certainly better. What is left is scored again in float64. Scores are those inner products rounded to
    float32; equal ones are listed by row. `memory` bounds what is held, in bytes, whatever the size of the corpus.
    Raises DataError for vectors that are not finite.
    """
    device = choose_device()
    kind = product or fastest_product(len(questions))
    k = min(k, vectors.shape[0])
    if not k or not len(questions):
        return TopK.empty(len(questions), k)
    asked = torch.from_numpy(np.ascontiguousarray(questions, dtype=np.float32)).to(device)
    check_finite(torch.linalg.vector_norm(asked, dim=1), "question")
    if len(asked) * vectors.shape[0] <= BRUTE_FORCE_PAIRS:
        return brute_force(asked, vectors, k)
    together = _questions_at_once(len(questions), vectors.shape[1], k, memory)
    parts = [_search(part, vectors, k, memory, kind) for part in torch.split(asked, together)]
    return TopK.stacked(parts)


def fastest_product(questions: int) -> Product:
    """bf16 where the device has units for it and there are enough questions to pay for rounding the passages."""
    return "bf16" if questions >= MIN_QUESTIONS_BF16 and bf16_units(choose_device())[0] else "float32"


def _questions_at_once(questions: int, dim: int, k: int, memory: int) -> int:
    """The number of questions whose candidates and vectors take at most half of the memory."""
    bytes_each = 4 * dim * FLOAT32_BYTES + capacity(k) * CANDIDATE_BYTES
    return max(1, min(questions, memory // (2 * bytes_each)))


def _block_rows(questions: int, threads: int, dim: int, score_bytes: int, memory: int) -> int:
    """The number of passages for which two blocks' vectors (stored, shifted, rounded) and the scores take a quarter of
    the memory; a multiple of GROUP_SIZE."""
    rows = memory // (4 * (4 * dim * FLOAT32_BYTES + 2 * questions * FLOAT32_BYTES))
    rows = min(rows, MAX_BLOCK_ROWS, MAX_SCORE_BYTES * threads // (questions * score_bytes))
    return max(GROUP_SIZE, rows // GROUP_SIZE * GROUP_SIZE)


def _search(questions: Tensor, vectors: Vectors, k: int, memory: int, product: Product) -> TopK:
    """One pass over the corpus for some questions, and another pass for those with too many near-ties."""
    filters = _filtered(questions, vectors, k, memory, product)
    found = rescore(questions, vectors, _pairs(filters), k, memory)
    overflowed = torch.cat([part.candidates.overflowed for part in filters]).nonzero()[:, 0]
    if len(overflowed):
        # More passages are nearly as good as the k-th than fit. More precise products tell them apart: float32 after
        # bf16, and exact ones, which need no candidates, after float32.
        rest = questions[overflowed]
        better = _search(rest, vectors, k, memory, "float32") if product == "bf16" else brute_force(rest, vectors, k)
        place = overflowed.cpu().numpy()
        found.rows[place], found.scores[place] = better.rows, better.scores
    return found


def _filtered(questions: Tensor, vectors: Vectors, k: int, memory: int, product: Product) -> list[BlockFilter]:
    """The candidates of all questions after a pass over the corpus; one filter per thread."""
    parts = [RoundedQuestions.of(part, product) for part in _split_among_threads(questions)]
    score_bytes = parts[0].values.itemsize
    size = _block_rows(len(questions), len(parts), vectors.shape[1], score_bytes, memory)
    filters = [BlockFilter(part, k, size) for part in parts]
    center = _mean(vectors, questions.device)
    with _thread_pool(len(filters)) as pool:
        running: list[Future[None]] = []
        for start, stored in vector_blocks(vectors, size):
            block = prepare_block(start, stored, center, product, GROUP_SIZE)  # while the last block is filtered
            _wait_for(running)
            running = [pool.submit(part.take, block) for part in filters]
        _wait_for(running)
    return filters


def _split_among_threads(questions: Tensor) -> list[Tensor]:
    """The questions (m × d) in one part per thread of a CPU; in a single part where they are few, or on a GPU."""
    on_cpu = questions.device.type == "cpu"
    parts = min(torch.get_num_threads(), len(questions) // MIN_QUESTIONS_PER_THREAD) if on_cpu else 1
    return list(torch.split(questions, -(-len(questions) // max(1, parts))))


@contextmanager
def _thread_pool(count: int) -> Iterator[ThreadPoolExecutor]:
    """`count` threads that divide PyTorch's own threads among them.

    A search consists of many small operations, which one thread runs faster than a team that has to synchronise after
    each of them.
    """
    threads = torch.get_num_threads()
    each = max(1, threads // count)
    torch.set_num_threads(each)
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(each,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def _wait_for(running: list[Future[None]]) -> None:
    for future in running:
        future.result()


def _pairs(filters: list[BlockFilter]) -> tuple[Tensor, Tensor]:
    """The candidates of all filters: questions (ascending, counted over all filters) and rows."""
    found = [part.candidates.pairs() for part in filters]
    starts = accumulate((len(part.candidates.count) for part in filters), initial=0)
    questions = [question + start for (question, _), start in zip(found, starts, strict=False)]
    return torch.cat(questions), torch.cat([row for _, row in found])


def _mean(vectors: Vectors, device: torch.device) -> Tensor:
    """The mean of a sample of passages (d). Any vector would be correct; near the true mean, rounding loses least."""
    rows = vectors.shape[0]
    picked = np.unique(np.linspace(0, rows - 1, min(rows, MEAN_SAMPLE_ROWS)).astype(np.int64))
    sample = torch.from_numpy(vectors.take(picked).astype(np.float32))
    mean = sample.mean(0).to(device)
    return torch.where(mean.isfinite(), mean, torch.zeros_like(mean))  # bad vectors get their message elsewhere
