"""The device and the precision of a process: one `Compute`, chosen once and passed to everything that computes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from fidtools.compute.precision import Precision, choose_dtype, eager_attention_is_faster
from fidtools.compute.ranks import process_state
from fidtools.logs import log


@dataclass(frozen=True)
class Compute:
    """Where a process computes and in which precision.

    A command calls `Compute.choose` once and passes the result to the loaders of its models. Models open `autocast`
    inside their own methods, so that their callers need not.
    """

    device: torch.device
    dtype: torch.dtype
    """Of matrix products: torch.bfloat16 or torch.float32."""
    reason: str

    @classmethod
    @functools.cache
    def choose(cls, precision: Precision = "auto") -> Compute:
        """The device of this process, and bf16 or float32. Logs the choice and its reason, once per process."""
        device = choose_device()
        dtype, reason = choose_dtype(precision, device)
        log.info("precision: %s on %s (%s)", "bf16" if dtype is torch.bfloat16 else "float32", device.type, reason)
        return cls(device, dtype, reason)

    @classmethod
    def float32(cls) -> Compute:
        """float32 on the device of this process: the default of the library's loaders."""
        return cls(choose_device(), torch.float32, "the library's default")

    @property
    def precision(self) -> str:
        """The name of `dtype`, as records keep it: bfloat16 or float32."""
        return str(self.dtype).removeprefix("torch.")

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Matrix products in `dtype` inside the block; weights and sums keep theirs. May be nested.

        With float32 nothing is changed, so an autocast of the caller's stays in force.
        """
        if self.dtype is torch.float32:
            yield
            return
        with torch.autocast(self.device.type, dtype=self.dtype):
            yield

    @property
    def eager_attention_is_faster(self) -> bool:
        """Whether models should use eager attention rather than PyTorch's fused attention here."""
        return eager_attention_is_faster(self.device, self.dtype)


def choose_device() -> torch.device:
    """The device of this process: its own GPU under `torchrun`, else the first accelerator, else the CPU."""
    device: torch.device = process_state().device
    return device


def seed_everything(*numbers: int) -> None:
    """Seed torch's generators from several numbers: the same numbers give the same draws, on any run."""
    seed = 0
    for number in numbers:
        seed = (seed * 1_000_003 + number + 1) % (1 << 63)
    torch.manual_seed(seed)
