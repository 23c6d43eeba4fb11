"""One pass over the corpus for some questions: the passages that may be among the k best of each.

Many questions are divided among the threads, and every thread compares its questions with each block of passages. For
a few questions the time goes into reading; then every thread reads its own blocks, in pieces that stay in the
processor's cache, into the same memory again and again.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fidtools.search.block_filter import GROUP_SIZE, BlockFilter
from fidtools.search.products import PassageNorms, Product, RoundedQuestions, multiply, prepare_block, upper_bounds
from fidtools.search.vectors import Vectors, vector_blocks

FLOAT32_BYTES = 4
MAX_BLOCK_ROWS = 4096  # so that a block of passages stays in the processor's cache
MAX_SCORE_BYTES = 1 << 24  # per thread; so that the scores of a block stay in the cache
MEAN_SAMPLE_ROWS = 4096  # passages whose mean stands for the corpus's
MIN_QUESTIONS_PER_THREAD = 64
FEW_QUESTIONS = 64  # below this, reading takes longer than multiplying
PIECE_BYTES = 3 << 19  # passages that are read at once for a few questions: they stay in a core's own cache
STRETCH_ROWS = 1 << 14  # passages whose scores for a few questions are filtered at once


class Candidates(NamedTuple):
    """What a pass leaves: pairs of a question (ascending) and a row, and which questions have too many (m)."""

    questions: Tensor
    rows: Tensor
    overflowed: Tensor


def candidates_of(questions: Tensor, vectors: Vectors, k: int, memory: int, product: Product) -> Candidates:
    """The candidates of all questions (m × d, float32); `memory` is in bytes."""
    few = product == "float32" and len(questions) < FEW_QUESTIONS and questions.device.type == "cpu"
    if few:
        return _for_few(RoundedQuestions.of(questions, product), vectors, k, memory)
    return _for_many(questions, vectors, k, memory, product)


def _for_many(questions: Tensor, vectors: Vectors, k: int, memory: int, product: Product) -> Candidates:
    """Every thread has some of the questions; the next block is prepared while they filter one."""
    parts = [RoundedQuestions.of(part, product) for part in _split_among_threads(questions)]
    size = _block_rows(len(questions), len(parts), vectors.shape[1], parts[0].values.itemsize, memory)
    filters = [(BlockFilter(part, k), part.values.new_empty(len(part.values) * size)) for part in parts]
    center = _mean(vectors, questions.device)
    with _thread_pool(len(filters)) as pool:
        running: list[Future[None]] = []
        for start, stored in vector_blocks(vectors, size):
            block = prepare_block(start, stored, center, product, GROUP_SIZE)
            _wait_for(running)
            running = []
            for part, buffer in filters:
                running.append(
                    pool.submit(_multiply_and_filter, part, block.values, buffer, start, len(stored), block.norms)
                )
        _wait_for(running)
    return _in_turn([part for part, _ in filters])


def _multiply_and_filter(
    part: BlockFilter, values: Tensor, buffer: Tensor, start: int, rows: int, norms: PassageNorms
) -> None:
    questions = part.questions.values
    out = buffer[: len(questions) * len(values)].view(len(questions), -1)
    part.take(multiply(questions, values, out), start, rows, norms)


def _for_few(questions: RoundedQuestions, vectors: Vectors, k: int, memory: int) -> Candidates:
    """Every thread has some of the blocks ("stretches"), and candidates of its own for all questions."""
    rows, dim = vectors.shape
    threads = torch.get_num_threads()
    stretch = min(STRETCH_ROWS, memory // (4 * threads * (len(questions.values) + 3) * FLOAT32_BYTES))
    stretch = max(GROUP_SIZE, stretch // GROUP_SIZE * GROUP_SIZE)
    piece = max(GROUP_SIZE, min(PIECE_BYTES, memory // (16 * threads)) // (dim * FLOAT32_BYTES))
    starts = iter(range(0, rows, stretch))  # the threads take turns

    def run() -> BlockFilter:
        part, reader = BlockFilter(questions, k), _StretchReader(questions, vectors, min(piece, stretch), stretch)
        for start in starts:
            stop = min(start + stretch, rows)
            scores, norms = reader.scores(start, stop)
            part.take(scores, start, stop - start, norms)
        return part

    with _thread_pool(threads) as pool:
        return _together([future.result() for future in [pool.submit(run) for _ in range(threads)]])


class _StretchReader:
    """Products of a few questions with up to `stretch` passages, of which `piece` are read at once."""

    def __init__(self, questions: RoundedQuestions, vectors: Vectors, piece: int, stretch: int) -> None:
        self._questions, self._vectors, self._piece = questions.values, vectors, piece
        self._scores = torch.empty(len(questions.values) * stretch)
        self._norms = torch.empty(stretch)
        self._stored = np.empty((piece, vectors.shape[1]), vectors.dtype)

    def scores(self, start: int, stop: int) -> tuple[Tensor, PassageNorms]:
        """The products with rows start … stop-1, padded to a multiple of GROUP_SIZE (m × B), and their norms (B)."""
        rows, questions = stop - start, self._questions
        width = -(-rows // GROUP_SIZE) * GROUP_SIZE
        scores = self._scores[: len(questions) * width].view(-1, width)
        norms = self._norms[:width].zero_()
        for first in range(0, rows, self._piece):
            last = min(first + self._piece, rows)
            stored = torch.from_numpy(self._vectors.read(start + first, start + last, self._stored)).float()
            torch.linalg.vector_norm(stored, dim=1, out=norms[first:last])
            out = scores[:, first:last]
            product = multiply(questions, stored, out)
            if product is not out:
                out.copy_(product)
        return scores, PassageNorms.unrounded(upper_bounds(norms, start))


def _block_rows(questions: int, threads: int, dim: int, score_bytes: int, memory: int) -> int:
    """The number of passages for which two blocks' vectors (stored, shifted, rounded) and the scores take a quarter of
    the memory; a multiple of GROUP_SIZE."""
    rows = memory // (4 * (4 * dim * FLOAT32_BYTES + 2 * questions * FLOAT32_BYTES))
    rows = min(rows, MAX_BLOCK_ROWS, MAX_SCORE_BYTES * threads // (questions * score_bytes))
    return max(GROUP_SIZE, rows // GROUP_SIZE * GROUP_SIZE)


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


def _in_turn(filters: list[BlockFilter]) -> Candidates:
    """The candidates of filters that have consecutive questions."""
    pairs = [part.candidates.pairs() for part in filters]
    starts = accumulate((len(part.candidates.count) for part in filters), initial=0)
    questions = [question + start for (question, _), start in zip(pairs, starts, strict=False)]
    overflowed = torch.cat([part.candidates.overflowed for part in filters])
    return Candidates(torch.cat(questions), torch.cat([row for _, row in pairs]), overflowed)


def _together(filters: list[BlockFilter]) -> Candidates:
    """The candidates of filters that have the same questions."""
    questions, rows = (torch.cat(part) for part in zip(*(part.candidates.pairs() for part in filters), strict=True))
    questions, order = torch.sort(questions, stable=True)
    overflowed = torch.stack([part.candidates.overflowed for part in filters]).any(0)
    return Candidates(questions, rows[order], overflowed)


def _mean(vectors: Vectors, device: torch.device) -> Tensor:
    """The mean of a sample of passages (d). Any vector would be correct; near the true mean, rounding loses least."""
    rows = vectors.shape[0]
    picked = np.unique(np.linspace(0, rows - 1, min(rows, MEAN_SAMPLE_ROWS)).astype(np.int64))
    sample = torch.from_numpy(vectors.take(picked).astype(np.float32))
    mean = sample.mean(0).to(device)
    return torch.where(mean.isfinite(), mean, torch.zeros_like(mean))  # bad vectors get their message elsewhere
