"""The machine: processor and its units, threads, memory, GPUs. Nothing here imports torch.

Every value is None or empty where it cannot be found out on this system.
"""

from __future__ import annotations

import csv
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 20.0
"""Time that a program of the system may take."""
CPUINFO, MEMINFO, CGROUP = Path("/proc/cpuinfo"), Path("/proc/meminfo"), Path("/sys/fs/cgroup")
UNITS = {
    "bf16": ("amx_bf16", "avx512_bf16", "bf16"),  # the last is ARM's
    "int8": ("amx_int8", "avx512_vnni", "avx_vnni", "asimddp", "i8mm"),
    "float32": ("avx512f", "avx2", "avx", "asimd"),
}
"""Flags of processors by what their units multiply, the fastest first."""
VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "CUDA_VISIBLE_DEVICES",
    "HF_HUB_OFFLINE",
    "FIDTOOLS_JAVA_HOME",
    "JAVA_HOME",
)
"""Variables of the environment that change speed, or what is found."""


@dataclass(frozen=True)
class Processor:
    """The processor: its name, its cores, how many this process may use, and its units by what they multiply."""

    name: str
    architecture: str
    cores: int | None
    usable: float | None
    units: dict[str, list[str]] | None


@dataclass(frozen=True)
class Memory:
    """Memory in bytes: of the machine, free now, and the limit of this process's container."""

    total: int | None
    available: int | None
    limit: int | None


@dataclass(frozen=True)
class Gpu:
    """A GPU as its driver describes it; memory in bytes."""

    name: str
    memory: int | None
    driver: str


@dataclass(frozen=True)
class Machine:
    """All of it."""

    system: str
    processor: Processor
    memory: Memory
    gpus: list[Gpu] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)


def machine() -> Machine:
    """This machine. Starts `nvidia-smi` where there is one."""
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return Machine(platform.platform(), processor(), memory(), gpus(), variables)


def processor(cpuinfo: Path = CPUINFO) -> Processor:
    """The processor, as Linux or macOS describes it."""
    fields = dict(_fields(cpuinfo, ":"))
    name = fields.get("model name") or _output("sysctl", "-n", "machdep.cpu.brand_string").strip()
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    units = {kind: [flag for flag in known if flag in flags] for kind, known in UNITS.items()} if flags else None
    return Processor(name or "unknown", platform.machine(), os.cpu_count(), usable_processors(), units)


def usable_processors(cgroup: Path = CGROUP) -> float | None:
    """How many processors this process may use: its affinity, and the quota of its container."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota, _, period = _text(cgroup / "cpu.max").partition(" ")
    if affinity is None or not quota.isdigit() or not period.strip().isdigit():
        return affinity
    return min(affinity, int(quota) / int(period))


def memory(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> Memory:
    """Memory of the machine and its container."""
    fields = dict(_fields(meminfo, ":"))
    total, available = (_kilobytes(fields.get(name, "")) for name in ("MemTotal", "MemAvailable"))
    if total is None and (size := _output("sysctl", "-n", "hw.memsize").strip()).isdigit():
        total = int(size)
    limit = _text(cgroup / "memory.max").strip()
    return Memory(total, available, int(limit) if limit.isdigit() else None)


def gpus() -> list[Gpu]:
    """NVIDIA's GPUs, by nvidia-smi; none without it."""
    query = "--query-gpu=name,memory.total,driver_version"
    rows = csv.reader(_output("nvidia-smi", query, "--format=csv,noheader,nounits").splitlines())
    return [
        Gpu(name.strip(), int(size) << 20 if size.strip().isdigit() else None, driver.strip())
        for name, size, driver in (row for row in rows if len(row) == 3)
    ]


def _fields(path: Path, separator: str) -> list[tuple[str, str]]:
    """The fields of a file of the kernel, in reverse: the first processor's are then the last, which a dict keeps."""
    pairs = (line.partition(separator) for line in _text(path).splitlines())
    return [(name.strip(), value.strip()) for name, _, value in pairs][::-1]


def _kilobytes(text: str) -> int | None:
    number = text.removesuffix("kB").strip()
    return int(number) * 1024 if number.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _output(*command: str) -> str:
    """What a program prints; nothing where it does not exist, fails, or takes too long."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""
