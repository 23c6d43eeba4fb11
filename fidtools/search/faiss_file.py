"""The file of a FAISS index: opened in a process of its own first, since a damaged one may end the process.

FAISS reads beyond a memory-mapped file that was cut off, and believes what the file says of itself.
"""

from __future__ import annotations

import importlib
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.data.memory_limit import limited_memory, memory_bound
from fidtools.errors import DataError, FidtoolsError, MismatchError, MissingExtraError, shorten

THREAD_BYTES = 16 << 20  # of address space that a thread takes for its stack
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
HINT = "build the index again"


def load_faiss() -> Any:
    """The module. Raises MissingExtraError where it is not installed."""
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise MissingExtraError("a FAISS index", "cpu") from error


def faiss_reason(error: Exception) -> str:
    """What FAISS says, without the place in its source."""
    text = str(error) or type(error).__name__
    return shorten(re.sub(r"^Error in .*? at \S+: (Error: )?", "", text, flags=re.DOTALL), 200)


def open_file(path: Path, rows: int, dim: int) -> Any:
    """FAISS's index of so many vectors of that length, memory-mapped where FAISS can, after one search.

    Both may take memory in proportion to the file's size, and no more. Raises DataError for a file that needs more or
    is damaged, MismatchError for vectors of another number or length.
    """
    command = [sys.executable, "-P", *_isolation(), "-m", __name__, str(path), str(rows), str(dim)]
    nothing = subprocess.DEVNULL
    tried = subprocess.run(command, check=False, stdin=nothing, stdout=nothing, stderr=nothing)
    if -tried.returncode in CRASHES:
        raise DataError("damaged: FAISS cannot read it", path=path, hint=HINT)
    return _open(path, rows, dim)


def _isolation() -> list[str]:
    """The options by which this process leaves out PYTHONPATH and the user's packages, so that another does as well."""
    flags = {"-E": sys.flags.ignore_environment, "-s": sys.flags.no_user_site}
    return [option for option, given in flags.items() if given]


def _open(path: Path, rows: int, dim: int) -> Any:
    faiss = load_faiss()
    try:
        with limited_memory(memory_bound(path) + THREAD_BYTES * faiss.omp_get_max_threads()):
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
            if index is None:  # a file may say so
                raise RuntimeError("no index")
            if index.ntotal != rows:
                raise MismatchError(f"contains {index.ntotal} vectors instead of {rows}", path=path.parent)
            if index.d != dim:
                raise MismatchError(f"contains vectors of length {index.d} instead of {dim}", path=path.parent)
            index.search(np.zeros((1, dim), np.float32), 1)
    except (RuntimeError, AssertionError, MemoryError) as error:
        raise DataError("damaged: FAISS cannot read it", path=path, hint=HINT) from error
    return index


if __name__ == "__main__":
    try:
        _open(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    except FidtoolsError:
        sys.exit(1)  # the caller finds the same, and has a user to tell
