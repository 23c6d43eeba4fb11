"""A limit on the memory of this process while it reads a file that may ask for any amount."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from fidtools.data.files import PathLike

GROWTH = 64  # bytes of memory for each byte of the file: lists of ids with short vectors take about 10
ALLOWANCE = 256 << 20


def memory_bound(path: PathLike) -> int:
    """The bytes of memory that the values in a file may take."""
    return ALLOWANCE + GROWTH * Path(path).stat().st_size


@contextlib.contextmanager
def limited_memory(size: int) -> Iterator[None]:
    """Let the process grow by `size` bytes at most: beyond that, an allocation raises MemoryError.

    The system enforces the limit (RLIMIT_AS), so it holds for allocations of C libraries too. Only Linux says how
    much a process has; elsewhere there is no limit.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([_address_space() + size, *limits]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int:
    import resource

    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
