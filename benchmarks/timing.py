"""Timing and profiling of several ways of doing the same."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

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


def show_operations(work: Callable[[], object], rows: int = 15) -> None:
    """A Markdown table of the operations of `work` that take most processor time, by their share of its total."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        work()
    found = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in found)
    print("| operation | share | calls |\n|---|---|---|")
    for event in found[:rows]:
        print(f"| `{event.key}` | {event.self_cpu_time_total / total:.1%} | {event.count} |")
