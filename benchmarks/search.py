"""Exact search against FAISS's flat index at its best, on the same vectors and threads, interleaved; ids are compared.

FAISS's wheel contains an OpenBLAS that chooses its kernel by the processor's name, and may choose badly on a processor
newer than itself. Each kernel is tried in a child process; its results are compared, and the fastest is the opponent.

    python benchmarks/search.py                      # 2,000 questions × 500,000 × 384 on disk, k = 100
    python benchmarks/search.py --rows 200000 --rounds 3
    python benchmarks/search.py --rows 50000 --questions 500 --indexes       # recall and speed of `index --type …`

Vectors are random clusters of unit length whose spectrum decays (as embeddings' does), questions are noisy passages.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import faiss
import numpy as np
import torch

from fidtools.data.embedding_writer import create_embeddings
from fidtools.data.vector_type import VectorType
from fidtools.search.exact import fastest_product, search
from fidtools.search.faiss_build import build_index
from fidtools.search.index_specs import index_spec
from fidtools.search.products import Product
from fidtools.search.vectors import FileVectors

CLUSTERS, NOISE, BLOCK = 3000, 0.7, 50_000
KERNELS = ("", "Haswell", "SkylakeX", "Zen", "Cooperlake", "Sapphirerapids")  # "": as OpenBLAS chooses
TRIED_ROWS, TRIED_QUESTIONS = 50_000, 500
OURS = "FIDTOOLS_BENCHMARK_KERNEL"  # set in a process that FAISS's kernel was chosen for


def write_vectors(path: Path, rows: int, dim: int) -> np.ndarray:
    """Passages of unit length in a .npy file (n × d), a block at a time; returns the map."""
    draw = np.random.default_rng(0)
    spectrum = np.arange(1, dim + 1) ** -0.5
    centres = draw.normal(size=(CLUSTERS, dim)) * spectrum
    table = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dim))
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        block = centres[draw.integers(0, CLUSTERS, count)] + NOISE * draw.normal(size=(count, dim)) * spectrum
        table[start : start + count] = block / np.linalg.norm(block, axis=1, keepdims=True)
    table.flush()
    return table


def near(table: np.ndarray, count: int) -> np.ndarray:
    """Questions: passages with noise, of unit length (m × d)."""
    draw = np.random.default_rng(1)
    picked = table[np.sort(draw.choice(len(table), count, replace=False))]
    noisy = picked + draw.normal(size=picked.shape) / picked.shape[1] ** 0.5
    found: np.ndarray = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    return found


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def same_as_faiss(questions: np.ndarray, table: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> tuple[int, int]:
    """Questions whose lists are the same sets; of the others, how many differ only in scores that tie in float32.

    FAISS sums in float32, so two passages whose true scores differ by less than that may change places at rank k.
    """
    same = tied = 0
    for question, mine, its in zip(questions, ours, theirs, strict=True):
        differing = np.setxor1d(mine, its)
        if not len(differing):
            same += 1
            continue
        among = np.append(differing, mine[-1])
        scores = table[among].astype(float) @ question
        tied += bool(np.abs(scores - scores[-1]).max() < 1e-6)
    return same, tied


def with_kernel(kernel: str) -> dict[str, str]:
    """The environment of a process whose OpenBLAS uses `kernel`."""
    hints = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    kept = {name: value for name, value in os.environ.items() if name not in hints}
    return kept | ({"OPENBLAS_CORETYPE": kernel} if kernel else {}) | {OURS: kernel or "its own choice"}


def try_kernel(options: argparse.Namespace) -> None:
    """In a child: print the seconds and the result of FAISS's search of a small set."""
    table = np.load(options.try_vectors, mmap_mode="r")
    flat, questions = faiss.IndexFlatIP(options.dim), near(table, TRIED_QUESTIONS)
    flat.add(table[:TRIED_ROWS])
    found = flat.search(questions, 10)[1]
    best = min(seconds(lambda: flat.search(questions, 10))[1] for _ in range(3))
    print(json.dumps({"seconds": best, "rows": found.tolist()}))


def fastest_kernel(options: argparse.Namespace, path: Path) -> str:
    """The kernel with which FAISS takes least processor time, of those that find the same."""
    tried = {}
    for kernel in KERNELS:
        command = [sys.executable, __file__, "--try-vectors", str(path), "--dim", str(options.dim)]
        command += ["--threads", str(options.threads)]
        child = subprocess.run(command, env=with_kernel(kernel), capture_output=True, text=True, check=False)
        if child.returncode:
            print(f"  FAISS with {kernel or 'its own choice':16} failed")
            continue
        tried[kernel] = json.loads(child.stdout)
    speed = 2e-9 * TRIED_QUESTIONS * TRIED_ROWS * options.dim
    usual = tried[""]["rows"]
    for kernel, found in tried.items():
        same = np.mean([set(a) == set(b) for a, b in zip(found["rows"], usual, strict=True)])
        print(
            f"  FAISS with {kernel or 'its own choice':16} {speed / found['seconds']:6.0f} GFLOP/s a core,"
            f" the same for {same:.1%}"
        )
        found["right"] = same > 0.99
    return min((kernel for kernel in tried if tried[kernel]["right"]), key=lambda kernel: tried[kernel]["seconds"])


def peak(product: Product, dim: int) -> float:
    """Products and sums a second of a plain matrix product in a search's shape: 1,000 questions × 4,096 passages."""
    questions, passages = (torch.randn(rows, dim) for rows in (1000, 4096))
    kind = torch.bfloat16 if product == "bf16" else torch.float32
    left, right = questions.to(kind), passages.to(kind).T
    times = [seconds(lambda: left @ right)[0] for _ in range(30)]
    return float(2 * 1000 * 4096 * dim / min(times))


def compare(name: str, rounds: int, contenders: dict[str, Callable[[], object]], base: str) -> dict[str, float]:
    """Medians over interleaved rounds (returned), and each one's speed relative to `base` within the same round."""
    for work in contenders.values():
        work()
    times = [{key: seconds(work) for key, work in contenders.items()} for _ in range(rounds)]
    print(f"\n{name}")
    walls = {}
    for key in contenders:
        wall, cpu = (statistics.median(round_[key][i] for round_ in times) for i in (0, 1))
        walls[key] = wall
        ratios = sorted(round_[base][0] / round_[key][0] for round_ in times)
        by_cpu = statistics.median(round_[base][1] / round_[key][1] for round_ in times)
        print(
            f"  {key:24} {wall:8.3f} s wall {cpu:8.3f} s cpu   {statistics.median(ratios):5.2f}× {base}"
            f" ({ratios[0]:.2f} … {ratios[-1]:.2f}; {by_cpu:.2f}× by cpu)"
        )
    return walls


def indexes(options: argparse.Namespace, table: np.ndarray, folder: Path) -> None:
    """Every type of `fidtools index` on the same vectors: recall, build time, size, and single questions."""
    asked = near(table, options.questions)
    for name, vectors in (("passages", table), ("questions", asked)):
        ids, stored = (str(row) for row in range(len(vectors))), VectorType("float32", options.dim)
        with create_embeddings(folder / f"{name}.npy", len(vectors), stored, {}, ids=ids) as out:
            for start in range(0, len(vectors), BLOCK):
                out.write(start, vectors[start : start + BLOCK])
    print(f"{options.rows:,} × {options.dim}, k = {options.k}, {options.questions} questions, one at a time")
    for kind in ("flat", "fp16", "sq8", "hnsw", "ivf", "ivfpq"):
        chosen = index_spec(kind, options.rows, options.dim)
        place = folder / kind
        cpu = time.process_time()
        meta = build_index(folder / "passages.npy", place, chosen, questions=folder / "questions.npy", k=options.k)
        cpu = time.process_time() - cpu
        index = faiss.read_index(str(place / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC)
        _, each = seconds(lambda index=index: [index.search(asked[i : i + 1], options.k) for i in range(100)])
        print(
            f"  {kind:6} {chosen.factory:36} {chosen.parameters:24} recall {meta['recall']['value']:.4f}"
            f"  {meta['bytes'] / options.rows:6.0f} bytes/vector  built in {cpu:6.1f} cpu-s  {10 * each:6.2f} cpu-ms",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {"rows": 500_000, "dim": 384, "questions": 2000, "k": 100, "rounds": 3, "threads": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--indexes", action="store_true", help="compare the types of index instead")
    parser.add_argument("--folder", help="where the vectors go for the time being")
    parser.add_argument("--vectors", type=Path, help="a .npy file to search, instead of new vectors")
    parser.add_argument("--try-vectors", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    if options.try_vectors:
        try_kernel(options)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = options.vectors or Path(folder) / "p.npy"
        table = np.load(path, mmap_mode="r") if options.vectors else write_vectors(path, options.rows, options.dim)
        options.rows, options.dim = table.shape
        if OURS not in os.environ:
            kernel = fastest_kernel(options, path)
            command = [sys.executable, __file__, *sys.argv[1:], "--vectors", str(path)]
            raise SystemExit(subprocess.run(command, env=with_kernel(kernel), check=False).returncode)
        if options.indexes:
            indexes(options, table, Path(folder))
        else:
            run(options, table, FileVectors(path))


def run(options: argparse.Namespace, table: np.ndarray, vectors: FileVectors) -> None:
    questions, k = near(table, options.questions), options.k
    flat = faiss.IndexFlatIP(options.dim)
    for start in range(0, options.rows, BLOCK):
        flat.add(table[start : start + BLOCK])
    print(f"{options.questions:,} × {options.rows:,} × {options.dim}, k = {k}, {options.threads} threads")
    product = fastest_product(options.questions)
    print(f"fastest product here: {product}; FAISS's kernel: {os.environ[OURS]}")
    ours, theirs = search(questions, vectors, k).rows, flat.search(questions, k)[1]
    same, tied = same_as_faiss(questions, table, ours, theirs)
    print(f"the same {k} passages: {same} of {len(questions)} questions; differing only in float32 ties: {tied}")
    walls = compare(
        "a batch",
        options.rounds,
        {
            "IndexFlatIP": lambda: flat.search(questions, k),
            "exact, fastest product": lambda: search(questions, vectors, k),
            "exact, float32": lambda: search(questions, vectors, k, product="float32"),
        },
        "IndexFlatIP",
    )
    done, best = 2 * options.questions * options.rows * options.dim, peak(product, options.dim)
    share = done / walls["exact, fastest product"] / best
    print(f"  {share:.0%} of the peak of {product} products here ({best / 1e9:.0f} G/s on {options.threads} threads)")
    for few in (1, 8, 64, 256):
        some = questions[:few]
        contenders = {"IndexFlatIP": lambda: flat.search(some, k), "exact": lambda: search(some, vectors, k)}  # noqa: B023
        compare(f"{few} questions" if few > 1 else "one question", 3 * options.rounds, contenders, "IndexFlatIP")


if __name__ == "__main__":
    main()
