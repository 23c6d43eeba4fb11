"""The processes (ranks) of a `torchrun`: sharing work among them and collecting the results."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch

from fidtools.compute.launcher import LAUNCHER_SETS
from fidtools.data.batched import batched
from fidtools.data.number_text import is_count
from fidtools.errors import FidtoolsError, UsageError, shorten

LAUNCH = "start several ranks by torchrun or accelerate launch; without one, unset WORLD_SIZE"
LOST = "its own message, if it has one, says why"

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Ranks:
    """The rank of this process and the number of processes."""

    rank: int
    world: int

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes the output."""
        return self.rank == 0

    def shard(self, items: list[T]) -> list[T]:
        """This rank's items, every world-th one: each item belongs to exactly one rank."""
        return items[self.rank :: self.world]

    def span(self, count: int) -> tuple[int, int]:
        """Where this rank's part of `count` items begins and ends, if every rank has consecutive ones."""
        return count * self.rank // self.world, count * (self.rank + 1) // self.world


def interleaved(shards: Sequence[Sequence[T]]) -> list[T]:
    """The inverse of `Ranks.shard`: all items in their original order, from the ranks' shards."""
    return [shard[i] for i in range(max(map(len, shards))) for shard in shards if i < len(shard)]


@functools.cache
def process_state() -> Any:
    """Accelerate's state of this process; joins the process group on first use."""
    from accelerate import PartialState

    several_on_cpu = _checked_world_size() > 1 and not torch.cuda.is_available()
    with together():
        return PartialState(cpu=several_on_cpu)  # without this, Accelerate forms no group of CPU processes


def _checked_world_size() -> int:
    """How many ranks there are. Raises UsageError for a WORLD_SIZE that no launcher has set."""
    given = os.environ.get("WORLD_SIZE", "1")
    if not (is_count(given) and int(given) > 0):
        raise UsageError(f"WORLD_SIZE must be a positive integer (got {shorten(given)})", hint=LAUNCH)
    missing = [name for name in LAUNCHER_SETS if name not in os.environ]
    if int(given) > 1 and missing:
        raise UsageError(f"WORLD_SIZE is {given}, but {', '.join(missing)} not set: no launcher", hint=LAUNCH)
    return int(given)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Turn the errors of the libraries in the block, where ranks talk to each other, into one FidtoolsError."""
    try:
        yield
    except RuntimeError as error:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            raise
        reason = shorten((str(error).strip() or repr(error)).splitlines()[0], 160)
        raise FidtoolsError(f"another rank has ended or does not answer: {reason}", hint=LOST) from error


def ranks() -> Ranks:
    """This process among those started by `torchrun` or `accelerate launch`; joins their group on first use."""
    return Ranks(process_state().process_index, process_state().num_processes)


def output_on_main_rank(path: str) -> str:
    """Where this rank writes: to `path` on rank 0, which writes the results of all, and to /dev/null on the others."""
    return path if ranks().is_main else os.devnull


def distribute(batches: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """`work` of every batch, in order. Under `torchrun` each rank does its share, and only rank 0 yields."""
    me = ranks()
    if me.world == 1:
        yield from map(work, batches)
        return
    for group in batched(batches, me.world):
        mine = work(group[me.rank]) if me.rank < len(group) else None
        results = gather(mine)
        if me.is_main:
            yield from cast(list[R], results[: len(group)])


def gather(value: T) -> list[T]:
    """The values of all ranks, in order of rank, on every rank."""
    world = ranks().world
    if world == 1:
        return [value]
    values: list[Any] = [None] * world
    with together():
        torch.distributed.all_gather_object(values, value)
    return values


def sum_over_ranks(number: float) -> float:
    """The sum of the ranks' numbers, in float64, added in order of rank."""
    return float(sum(gather(float(number))))


def barrier() -> None:
    """Wait until every rank has called this."""
    with together():
        process_state().wait_for_everyone()


def shutdown() -> None:
    """Leave the process group when all ranks are done; a rank that just exits may break the others' connections."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        barrier()
        torch.distributed.destroy_process_group()


@contextlib.contextmanager
def main_rank_first() -> Iterator[None]:
    """Run the block on rank 0 first, then on the others, which find the files it has written."""
    if not ranks().is_main:
        barrier()
    yield
    if ranks().is_main:
        barrier()
