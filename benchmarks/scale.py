"""Exact search of a file larger than the memory it may take, and beside a script that holds everything.

    python benchmarks/scale.py                                  # 5,000,000 × 384, the process capped at 1 GB
    python benchmarks/scale.py --rows 1000000 --float32 --plain # and the plain script, in a process of its own

Random unit vectors, among which each question has ten neighbours at known rows. Their ids must be the ten found. The
searching process starts under RLIMIT_DATA: Linux refuses it more heap, anonymous memory, stacks and writable library
data than the cap together, Python and PyTorch included. What is left out is read-only code, which is shared.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

BLOCK, NEAR = 50_000, 10


def write(folder: Path, options: argparse.Namespace) -> None:
    """`p.npy` (rows × dim), `q.npy`, `near.npy` with the rows of every question's neighbours; with --plain pickles."""
    draw, rows, dim = np.random.default_rng(0), options.rows, options.dim
    questions = unit(draw.normal(size=(options.questions, dim)))
    planted = draw.choice(rows, (options.questions, NEAR), replace=False)
    kind = np.float32 if options.float32 else np.float16
    table = np.lib.format.open_memmap(folder / "p.npy", "w+", kind, (rows, dim))
    for start in range(0, rows, BLOCK):
        block = draw.standard_normal((min(BLOCK, rows - start), dim), np.float32)
        inside = (planted >= start) & (planted < start + len(block))
        question, _ = inside.nonzero()
        block[planted[inside] - start] = 2 * dim**0.5 * questions[question] + block[planted[inside] - start]
        table[start : start + len(block)] = unit(block)
        if options.plain:
            ids = [str(row) for row in range(start, start + len(block))]
            with open(folder / f"part.{start:010}.pickle", "wb") as out:
                pickle.dump((ids, np.array(table[start : start + len(block)], np.float32)), out)
    table.flush()
    np.save(folder / "q.npy", questions.astype(np.float32))
    np.save(folder / "near.npy", np.sort(planted, axis=1))


def unit(vectors: np.ndarray) -> np.ndarray:
    found: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def exact(folder: Path, questions: np.ndarray, memory: int) -> np.ndarray:
    from fidtools.search.exact import search
    from fidtools.search.vectors import FileVectors

    print(f"before the search {peak_memory():.2f} GB were resident; search may take {memory / 1e9} GB")
    return search(questions, FileVectors(folder / "p.npy"), NEAR, memory=memory).rows


def plain(folder: Path, questions: np.ndarray, memory: int) -> np.ndarray:
    """Load every pickle, stack, add to a flat index, search."""
    import faiss

    ids: list[str] = []
    parts = []
    for path in sorted(folder.glob("part.*.pickle")):
        with open(path, "rb") as source:
            names, vectors = pickle.load(source)
        ids += names
        parts.append(vectors)
    stacked = np.vstack(parts)
    index = faiss.IndexFlatIP(stacked.shape[1])
    for start in range(0, len(stacked), BLOCK):
        index.add(stacked[start : start + BLOCK])
    found = index.search(questions, NEAR)[1]
    return np.array([[int(ids[row]) for row in line] for line in found])


def measure(folder: Path, way: str, memory: int) -> None:
    """One contender in this process: whether it is right, its time from start to end, its peak."""
    questions = np.load(folder / "q.npy")
    found = {"exact": exact, "plain": plain}[way](folder, questions, memory)
    right = (np.sort(found, axis=1) == np.load(folder / "near.npy")).all(axis=1)
    print(f"all {NEAR} planted neighbours, and only they: {right.sum()} of {len(right)} questions")
    print(f"processors {time.process_time():.1f} s; resident at most {peak_memory():.2f} GB", flush=True)


def peak_memory() -> float:
    """The most that was resident so far, in GB. Not getrusage's, which begins with the parent's."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def start(folder: str, way: str, options: argparse.Namespace, cap: int | None) -> None:
    """Run one contender in a fresh process, which may not take more than `cap` bytes."""
    print(f"\n{way}" + (f", capped at {cap / 1e9} GB" if cap else ""), flush=True)
    began = time.perf_counter()
    arguments = [sys.executable, __file__, "--find", folder, "--way", way, "--memory", str(options.memory)]
    subprocess.run(
        arguments,
        check=True,
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))) if cap else None,
    )
    print(f"wall {time.perf_counter() - began:.1f} s, the start of Python included", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {"rows": 5_000_000, "dim": 384, "questions": 1000}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--memory", type=float, default=0.25, help="GB, of the search")
    parser.add_argument("--cap", type=float, default=1.0, help="GB, of the whole process")
    parser.add_argument("--float32", action="store_true", help="instead of float16")
    parser.add_argument("--plain", action="store_true", help="also the script that pickles, stacks and adds")
    parser.add_argument("--folder", help="where the vectors go for the time being")
    parser.add_argument("--find", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.find:
        measure(options.find, options.way, int(options.memory * 1e9))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        write(Path(folder), options)
        size = (Path(folder) / "p.npy").stat().st_size / 1e9
        print(f"{options.questions:,} questions × {options.rows:,} × {options.dim}, {size:.2f} GB on disk")
        start(folder, "exact", options, int(options.cap * 1e9))
        if options.plain:
            start(folder, "plain", options, None)


if __name__ == "__main__":
    main()
