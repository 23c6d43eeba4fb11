"""The processes of a `torchrun`: their numbers, sharing work among them, and collecting the results."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch

from fidtools.data.batched import batched
from fidtools.errors import UsageError

T = TypeVar("T")


R = TypeVar("R")


@dataclass(frozen=True)
class Ranks:
    """This process's number and how many there are."""

    rank: int
    world: int

    @property
    def is_main(self) -> bool:
        """Whether this is the rank that writes."""
        return self.rank == 0

    def shard(self, items: list[T]) -> list[T]:
        """Every world-th item: together the ranks hold each once."""
        return items[self.rank :: self.world]


def interleaved(shares: Sequence[Sequence[T]]) -> list[T]:
    """What `Ranks.share` dealt out, given every rank's share, in its order again."""
    return [share[turn] for turn in range(max(map(len, shares))) for share in shares if turn < len(share)]


@functools.cache
def process_state() -> Any:
    """Accelerate's view of this process; joins the group of ranks on first use."""
    from accelerate import PartialState

    several_on_cpu = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()
    return PartialState(cpu=several_on_cpu)  # Accelerate joins ranks without accelerators only when told


def ranks() -> Ranks:
    """The process's place among those `torchrun` or `accelerate launch` started; joins their group on first use."""
    return Ranks(process_state().process_index, process_state().num_processes)


def refuse_shared_stdin(path: str) -> None:
    """Every rank reads the input itself, so several cannot share one standard input. Raises UsageError."""
    if path == "-" and ranks().world > 1:
        raise UsageError("several ranks cannot read standard input", hint="give the input as a file")


def output_on_main_rank(path: str) -> str:
    """Where this rank's output goes: to `path` on rank 0, which writes everyone's, and nowhere on the others."""
    return path if ranks().is_main else os.devnull


def distribute(batches: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """`work` of every batch, in order. Under `torchrun` each rank does its share, and rank 0 alone yields."""
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
    """Every rank's value, in order of rank, on every rank."""
    world = ranks().world
    if world == 1:
        return [value]
    values: list[Any] = [None] * world
    torch.distributed.all_gather_object(values, value)
    return values


def sum_over_ranks(number: float) -> float:
    """The sum of every rank's number, in float64, added in order of rank."""
    return float(sum(gather(float(number))))


def barrier() -> None:
    """Return when every rank has come here."""
    process_state().wait_for_everyone()


def shutdown() -> None:
    """Part from the other ranks when all are done; one that just ends may break the others' connections."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        barrier()
        torch.distributed.destroy_process_group()


@contextlib.contextmanager
def main_rank_first() -> Iterator[None]:
    """The block runs on rank 0 first, then on the others, which find what it has left on disk."""
    if not ranks().is_main:
        barrier()
    yield
    if ranks().is_main:
        barrier()
