"""The device a process computes on, and its precision."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Literal

import torch

from fidtools.compute.ranks import process_state
from fidtools.logs import log

Precision = Literal["auto", "bf16", "float32"]


def choose_device() -> torch.device:
    """The device of this process: its own GPU under `torchrun`, else the first accelerator, else the CPU."""
    device: torch.device = process_state().device
    return device


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
