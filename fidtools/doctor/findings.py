"""What is broken or slow, why, and what to do about it: rules over what the probes found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fidtools.compute.precision import multiplies_bf16_faster
from fidtools.doctor.imports import Imports
from fidtools.doctor.machine import Machine
from fidtools.doctor.packages import version
from fidtools.errors import MOST_DIGITS

Level = Literal["broken", "slow", "note"]
OLDEST_PYTHON = (3, 11)
LITTLE_MEMORY = 4 << 30
BEFORE_AVX2 = {"prescott", "core2", "penryn", "dunnington", "atom", "nehalem", "athlon", "opteron", "barcelona",
               "bobcat", "sandybridge", "bulldozer", "piledriver", "steamroller", "excavator"}  # fmt: skip
BEFORE_AVX512 = BEFORE_AVX2 | {"haswell", "zen"}
"""OpenBLAS's names of kernels that do not use AVX2, or AVX-512."""


@dataclass(frozen=True)
class Finding:
    """One thing that is broken, slow, or worth knowing; `remedy` says what to do, where something can be done."""

    level: Level
    what: str
    remedy: str = ""


def findings(machine: Machine, imports: Imports, unmet: list[str]) -> list[Finding]:
    """All findings, the broken ones first."""
    found = [*broken(imports, unmet), *slow_processor(machine, imports), *slow_threads(machine)]
    found += [*slow_gpu(machine, imports), *notes(machine)]
    return sorted(found, key=lambda finding: ("broken", "slow", "note").index(finding.level))


def broken(imports: Imports, unmet: list[str]) -> Iterator[Finding]:
    """What stops basic commands."""
    if sys.version_info < OLDEST_PYTHON:
        yield Finding("broken", "this Python is too old", f"use Python {'.'.join(map(str, OLDEST_PYTHON))} or newer")
    for problem in unmet:
        yield Finding("broken", problem, "pip install --upgrade fidtools, or bin/setup in the repository")
    for package, reason in imports.failures.items():
        yield Finding("broken", f"{package} cannot be imported: {reason}", f"pip install --force-reinstall {package}")


def slow_processor(machine: Machine, imports: Imports) -> Iterator[Finding]:
    """A processor without fast units, where it is what computes, and kernels that do not use them."""
    units = machine.processor.units
    if units is None:
        return
    if not (fast_bf16(machine) or imports.torch.get("cuda")):
        what = "the processor has no fast bf16 units, so models compute in float32, which is slower"
        yield Finding("slow", what, "a processor with amx_bf16 (Intel) or avx512_bf16 (AMD), or a GPU")
    if not {"avx2", "avx512f", "asimd"} & set(units["float32"]):
        yield Finding("slow", "the processor has neither AVX2 nor NEON: everything is slow")
    kernel = machine.variables.get("OPENBLAS_CORETYPE", "").lower()
    ignored = "avx512f" if kernel in BEFORE_AVX512 else ""
    ignored = "avx2" if kernel in BEFORE_AVX2 else ignored
    if ignored in units["float32"]:
        what = f"OPENBLAS_CORETYPE={machine.variables['OPENBLAS_CORETYPE']}: NumPy uses kernels of an old processor"
        yield Finding("slow", f"{what}, without {ignored}", "unset OPENBLAS_CORETYPE")


def fast_bf16(machine: Machine) -> bool:
    """Whether the processor multiplies bf16 faster than float32. ARM's units count too, where PyTorch uses them."""
    units = (machine.processor.units or {}).get("bf16", [])
    return "bf16" in units or multiplies_bf16_faster(machine.processor.name, units)


def slow_threads(machine: Machine) -> Iterator[Finding]:
    """More or fewer threads than processors."""
    usable, text = machine.processor.usable, machine.variables.get("OMP_NUM_THREADS", "")
    if usable is None:
        return
    whole = max(1, int(usable))
    if not (text.isdecimal() and len(text) <= MOST_DIGITS):
        if machine.processor.cores and not text and usable < machine.processor.cores / 2:
            what = f"this process may use {usable:g} of {machine.processor.cores} processors"
            yield Finding("note", what, f"if commands are slow, set OMP_NUM_THREADS={whole}")
        return
    if int(text) > whole:
        what = f"OMP_NUM_THREADS={text} is more than the {usable:g} processors that this process may use"
        yield Finding("slow", what, f"set OMP_NUM_THREADS={whole}")
    elif int(text) < whole / 2:
        what = f"OMP_NUM_THREADS={text} leaves most of the {usable:g} processors idle"
        yield Finding("slow", what, "unset OMP_NUM_THREADS, unless other work needs them")


def slow_gpu(machine: Machine, imports: Imports) -> Iterator[Finding]:
    """A GPU that is not used, or only in part."""
    if version("faiss-cpu") and version("faiss-gpu"):
        what = "faiss-cpu and faiss-gpu are both installed and overwrite each other's files"
        yield Finding("slow", what, "pip uninstall faiss-cpu faiss-gpu, then install one of them")
    if not machine.gpus or not imports.torch:
        return
    if not imports.torch.get("cuda"):
        hidden = machine.variables.get("CUDA_VISIBLE_DEVICES")
        if hidden is not None and not hidden.strip("- 1"):
            yield Finding("slow", f"the GPU is hidden by CUDA_VISIBLE_DEVICES={hidden!r}", "unset CUDA_VISIBLE_DEVICES")
            return
        built = imports.torch.get("built_for")
        why = f"is built for CUDA {built}, which the driver may not support" if built else "is built without CUDA"
        yield Finding("slow", f"PyTorch does not use the GPU: it {why}", "install PyTorch for your driver: pytorch.org")
    elif not imports.torch.get("bf16"):
        yield Finding("slow", "the GPU has no bf16 units, so models compute in float32")


def notes(machine: Machine) -> Iterator[Finding]:
    """What else is worth knowing."""
    sizes = [size for size in (machine.memory.total, machine.memory.limit) if size is not None]
    if sizes and min(sizes) < LITTLE_MEMORY:
        what = f"only {min(sizes) / 1e9:.1f} GB of memory"
        yield Finding("note", what, "smaller --token-budget and --max-memory; --gradient-checkpointing in training")
    if machine.variables.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        yield Finding("note", "HF_HUB_OFFLINE is set: models that are not in the cache are not downloaded")
