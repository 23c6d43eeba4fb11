"""One section's run: where its rows go, what a failure does, and how things are timed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.data import Sizes
from benchmarks.gpu.rows import add_row
from benchmarks.timing import in_turns
from fidtools.errors import shorten

BUDGETS = (16384, 65536)  # the default of --token-budget, and one for a large GPU
PARALLEL = "TOKENIZERS_PARALLELISM"
PROFILED = 20  # operations


@dataclass
class Bench:
    """One section's run."""

    section: str
    work: Path
    out: Path
    sizes: Sizes

    def row(self, name: str, **values: Any) -> None:
        """See `add_row`."""
        add_row(self.out, self.section, name, **values)

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """A failure inside the block becomes the row, and the rest goes on."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            yield
        except ModuleNotFoundError as error:
            self.row(name, note=f"{error.name} is not installed")
        except ArithmeticError as error:
            self.row(name, note=str(error))
        except Exception as error:
            self.row(name, note=f"FAILED: {shorten(repr(error), 160)}")

    def commands(self, command: str) -> Iterator[str]:
        """The command's name, with one thread for its tokenizer as is the default, and with all."""
        for parallel, name in (("false", f"`{command}`"), ("true", f"`{PARALLEL}=true {command}`")):
            os.environ[PARALLEL] = parallel
            yield name
        os.environ[PARALLEL] = "false"

    def profile(self, title: str, work: Callable[[], object]) -> None:
        """Append a warm call's longest operations to profile.txt; a row says how much of the time the GPU was busy."""
        with self.attempt(f"{title}: profile"):
            self._profile(title, work, torch.cuda.is_available())

    def _profile(self, title: str, work: Callable[[], object], on_gpu: bool) -> None:
        wall = best_seconds(work, 1)
        kinds = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * on_gpu
        with torch.profiler.profile(activities=kinds) as profile:
            work()
            if on_gpu:
                torch.cuda.synchronize()
        averages = profile.key_averages()
        shown = averages.table(sort_by=f"self_{'cuda' if on_gpu else 'cpu'}_time_total", row_limit=PROFILED)
        with open(self.out / "profile.txt", "a") as out:
            out.write(f"{title}: {wall:.4f} s without the profiler\n{shown}\n\n")
        if on_gpu:
            kernels = (e for e in averages if e.device_type == torch.autograd.DeviceType.CUDA)
            busy = sum(event.self_device_time_total for event in kernels) / 1e6
            self.row(f"{title}: GPU busy", rate=100 * busy / wall, unit="% of the time")


def memory() -> float:
    """The most GPU memory that tensors took since the last `attempt`, in GB."""
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0


def marginal(work: Callable[[str], object], few: int, many: int) -> float:
    """Seconds for each item beyond the start-up, from a warm run on `few` and one on `many`.

    Raises ArithmeticError when the difference is lost in noise.
    """
    times = []
    for name in ("few", "few", "many"):
        started = time.perf_counter()
        work(name)
        times.append(time.perf_counter() - started)
    if times[2] <= times[1]:
        raise ArithmeticError("too little work to time")
    return (times[2] - times[1]) / (many - few)


def best_seconds(work: Callable[[], object], repeats: int) -> float:
    """The least wall time of some calls, after one to warm up."""
    return in_turns({"": work}, repeats)[""][0]
