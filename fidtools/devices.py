"""Where the arithmetic runs: the device, its precision, and the ranks of a `torchrun`."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import torch

from fidtools.errors import UsageError
from fidtools.talk import log

T = TypeVar("T")
R = TypeVar("R")
Precision = Literal["auto", "bf16", "float32"]


@dataclass(frozen=True)
class Ranks:
    """This process's number and how many there are."""

    rank: int
    world: int

    @property
    def is_main(self) -> bool:
        """Whether this is the rank that writes."""
        return self.rank == 0

    def share(self, items: list[T]) -> list[T]:
        """Every world-th item: together the ranks hold each once."""
        return items[self.rank :: self.world]


def in_turn(shares: Sequence[Sequence[T]]) -> list[T]:
    """What `Ranks.share` dealt out, given every rank's share, in its order again."""
    return [share[turn] for turn in range(max(map(len, shares))) for share in shares if turn < len(share)]


@functools.cache
def _state() -> Any:
    from accelerate import PartialState

    several_on_cpu = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()
    return PartialState(cpu=several_on_cpu)  # Accelerate joins ranks without accelerators only when told


def choose_device() -> torch.device:
    """The device of this process: its own GPU under `torchrun`, else the first accelerator, else the CPU."""
    device: torch.device = _state().device
    return device


def ranks() -> Ranks:
    """The process's place among those `torchrun` or `accelerate launch` started; joins their group on first use."""
    return Ranks(_state().process_index, _state().num_processes)


@functools.cache
def choose_precision(wanted: Precision = "auto") -> torch.dtype:
    """bfloat16 or float32; `auto` takes bfloat16 where the device has units for it. Says which and why, once."""
    device = choose_device()
    has_units, reason = bf16_units(device)
    dtype = torch.bfloat16 if wanted == "bf16" or (wanted == "auto" and has_units) else torch.float32
    name = "bf16" if dtype is torch.bfloat16 else "float32"
    log.info("precision: %s on %s (%s)", name, device.type, "as asked" if wanted != "auto" else reason)
    return dtype


def bf16_units(device: torch.device) -> tuple[bool, str]:
    """Whether the device multiplies bf16 faster than float32, and that in words."""
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return has, "the GPU has bf16 units" if has else "the GPU has no bf16 units, and T5 overflows in fp16"
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        has = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
        return has, "the CPU has bf16 units" if has else "the CPU has no bf16 units"
    return False, f"bf16 is not proven on {device.type}"


@contextlib.contextmanager
def autocast(dtype: torch.dtype) -> Iterator[None]:
    """Matrix products in `dtype` inside the block; weights and sums stay as they are."""
    if dtype is torch.float32:
        yield
        return
    with torch.autocast(choose_device().type, dtype=dtype):
        yield


def seed_everything(*numbers: int) -> None:
    """Seed torch's generators from several numbers: the same numbers give the same draws, on any run."""
    seed = 0
    for number in numbers:
        seed = (seed * 1_000_003 + number + 1) % (1 << 63)
    torch.manual_seed(seed)


def refuse_stdin_on_ranks(path: str) -> None:
    """Every rank reads the input itself, so several cannot share one standard input. Raises UsageError."""
    if path == "-" and ranks().world > 1:
        raise UsageError("several ranks cannot read standard input", hint="give the input as a file")


def written_by_main(path: str) -> str:
    """Where this rank's output goes: to `path` on rank 0, which writes everyone's, and nowhere on the others."""
    return path if ranks().is_main else os.devnull


def spread(batches: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """`work` of every batch, in order. Under `torchrun` each rank does its share, and rank 0 alone yields."""
    me = ranks()
    if me.world == 1:
        yield from map(work, batches)
        return
    remaining = iter(batches)
    while group := list(itertools.islice(remaining, me.world)):
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


def wait_for_all() -> None:
    """Return when every rank has come here."""
    _state().wait_for_everyone()


def leave() -> None:
    """Part from the other ranks when all are done; one that just ends may break the others' connections."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        wait_for_all()
        torch.distributed.destroy_process_group()


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """The block runs on rank 0 first, then on the others, which find what it has left on disk."""
    if not ranks().is_main:
        wait_for_all()
    yield
    if ranks().is_main:
        wait_for_all()
