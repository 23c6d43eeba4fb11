"""Exact search of a file much larger than the memory it may take: `python benchmarks/scale.py [--rows 5000000]`.

Random unit vectors, among which each question has ten neighbours at known rows. Their ids must be the ten found; the
largest resident memory of the searching process is reported.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from fidtools.search.exact import search
from fidtools.search.vectors import FileVectors

BLOCK, NEAR = 50_000, 10


def write(folder: Path, rows: int, dim: int, count: int) -> None:
    """`p.npy` (rows × dim, float16), `q.npy`, and `near.npy` with the rows of every question's neighbours."""
    draw = np.random.default_rng(0)
    questions = unit(draw.normal(size=(count, dim)))
    planted = draw.choice(rows, (count, NEAR), replace=False)
    table = np.lib.format.open_memmap(folder / "p.npy", "w+", np.float16, (rows, dim))
    for start in range(0, rows, BLOCK):
        block = draw.standard_normal((min(BLOCK, rows - start), dim), np.float32)
        inside = (planted >= start) & (planted < start + len(block))
        question, _ = inside.nonzero()
        block[planted[inside] - start] = 2 * dim**0.5 * questions[question] + block[planted[inside] - start]
        table[start : start + len(block)] = unit(block)
    table.flush()
    np.save(folder / "q.npy", questions.astype(np.float32))
    np.save(folder / "near.npy", np.sort(planted, axis=1))


def unit(vectors: np.ndarray) -> np.ndarray:
    found: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def find(folder: Path, memory: int) -> None:
    started = time.perf_counter()
    vectors = FileVectors(folder / "p.npy")
    questions = np.load(folder / "q.npy")
    before = peak_memory()
    found = search(questions, vectors, NEAR, memory=memory)
    peak = peak_memory()
    right = (np.sort(found.rows, axis=1) == np.load(folder / "near.npy")).all(axis=1)
    size = (folder / "p.npy").stat().st_size / 1e9
    print(f"{len(questions):,} questions × {vectors.shape[0]:,} × {vectors.shape[1]}, {size:.2f} GB on disk")
    print(f"all {NEAR} planted neighbours, and only they: {right.sum()} of {len(right)} questions")
    print(f"{time.perf_counter() - started:.1f} s wall, {time.process_time():.1f} s of processors")
    print(
        f"resident: {before / 1e6:.2f} GB before, at most {peak / 1e6:.2f} GB; allowed to the search {memory / 1e9} GB"
    )


def peak_memory() -> float:
    """The most that was resident so far, in kB. Not getrusage's, which begins with the parent's."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {"rows": 5_000_000, "dim": 384, "questions": 1000}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--memory", type=float, default=0.25, help="GB")
    parser.add_argument("--folder", help="where the vectors go for the time being")
    parser.add_argument("--find", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.find:
        find(options.find, int(options.memory * 1e9))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        write(Path(folder), options.rows, options.dim, options.questions)
        subprocess.run([sys.executable, __file__, "--find", folder, "--memory", str(options.memory)], check=True)


if __name__ == "__main__":
    main()
