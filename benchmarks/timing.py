"""Timing of several ways of doing the same."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import torch

Timed = dict[str, tuple[float, float]]


def in_turns(works: dict[str, Callable[[], object]], repeats: int) -> Timed:
    """The least wall and processor seconds of each, taking turns, after a turn to warm up."""
    best: Timed = {}
    for turn, (name, work) in itertools.product(range(repeats + 1), works.items()):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took = (time.perf_counter() - wall, time.process_time() - processor)
        if turn:
            best[name] = tuple(map(min, best.get(name, took), took))  # type: ignore[assignment]
    return best
