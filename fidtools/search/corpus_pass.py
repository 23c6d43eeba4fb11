"""One pass over the corpus: the passages that may be among the k best of each question.

Every thread takes the next stretch of the corpus, multiplies it with all questions, and filters the scores into
candidates of its own, which are put together at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fidtools.search.candidates import bytes_of_question
from fidtools.search.products import GROUP_SIZE, Product, RoundedQuestions
from fidtools.search.stretch_filter import StretchFilter
from fidtools.search.stretches import FLOAT32_BYTES, StretchReader
from fidtools.search.vectors import Vectors

MAX_STRETCH_ROWS = 1 << 15
MAX_SCORE_BYTES = 1 << 23  # per thread; so that the scores of a stretch stay in the processor's cache
MAX_SCORE_BYTES_OF_ACCELERATOR = 1 << 28
MEAN_SAMPLE_ROWS = 4096  # passages whose mean stands for the corpus's
THREADS_OF_ACCELERATOR = 2  # one reads while the other one's stretch is computed


class Candidates(NamedTuple):
    """What a pass leaves: pairs of a question (ascending) and a row, and which questions have too many (m)."""

    questions: Tensor
    rows: Tensor
    overflowed: Tensor


def candidates_of(questions: Tensor, vectors: Vectors, k: int, memory: int, product: Product) -> Candidates:
    """The candidates of all questions (m × d, float32); `memory` is in bytes."""
    rounded = RoundedQuestions.of(questions, product)
    center = _mean(vectors, questions.device) if product == "bf16" else None
    workers = _workers(rounded.values, k, memory)
    stretch = _stretch_rows(rounded.values, memory // workers)
    starts = iter(range(0, vectors.shape[0], stretch))  # the threads take turns
    known = torch.full((len(questions),), -torch.inf, device=questions.device)

    def run() -> StretchFilter:
        part = StretchFilter(rounded, k)
        reader = StretchReader(rounded.values, vectors, center, stretch, memory // workers)
        for start in starts:
            part.candidates.raise_threshold(known)
            part.take(reader.read(start))
            # Whatever two threads write at once, each number is a true lower bound.
            torch.maximum(known, part.candidates.known(), out=known)
        return part

    with _thread_pool(workers) as pool:
        running = [pool.submit(run) for _ in range(workers)]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            for _ in starts:
                pass  # after an error or an interrupt nothing more is read
        return _together([future.result() for future in running])


def _workers(questions: Tensor, k: int, memory: int) -> int:
    """As many as there are threads, as far as their candidates fit into half of the memory (in bytes)."""
    threads = torch.get_num_threads() if questions.device.type == "cpu" else THREADS_OF_ACCELERATOR
    return max(1, min(threads, memory // (2 * len(questions) * bytes_of_question(k))))


def _stretch_rows(questions: Tensor, memory: int) -> int:
    """The number of passages whose scores stay in the cache, and take an eighth of the memory (in bytes) in float32;
    a multiple of GROUP_SIZE."""
    count = len(questions)
    most = MAX_SCORE_BYTES if questions.device.type == "cpu" else MAX_SCORE_BYTES_OF_ACCELERATOR
    by_memory = memory // (8 * (count + 3) * FLOAT32_BYTES)  # three norms
    rows = min(MAX_STRETCH_ROWS, most // (count * questions.itemsize), by_memory)
    return max(GROUP_SIZE, rows // GROUP_SIZE * GROUP_SIZE)


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


def _together(filters: list[StretchFilter]) -> Candidates:
    """The candidates that are left of all threads'."""
    first, *others = (part.candidates for part in filters)
    for other in others:
        first.absorb(other)
    return Candidates(*first.pairs(), first.overflowed)


def _mean(vectors: Vectors, device: torch.device) -> Tensor:
    """The mean of a sample of passages (d). Any vector would be correct; near the true mean, rounding loses least."""
    rows = vectors.shape[0]
    picked = np.unique(np.linspace(0, rows - 1, min(rows, MEAN_SAMPLE_ROWS)).astype(np.int64))
    sample = torch.from_numpy(vectors.take(picked).astype(np.float32))
    mean = sample.mean(0).to(device)
    return torch.where(mean.isfinite(), mean, torch.zeros_like(mean))  # bad vectors get their message elsewhere
