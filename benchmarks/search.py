"""Exact search against FAISS's flat index on the same vectors and threads, interleaved; identical ids are asserted.

    python benchmarks/search.py                      # 2,000 questions × 500,000 × 384 on disk, k = 100
    python benchmarks/search.py --rows 200000 --rounds 3
    python benchmarks/search.py --rows 50000 --questions 500 --indexes       # recall and speed of `index --type …`

Vectors are random clusters of unit length whose spectrum decays (as embeddings' does), questions are noisy passages.
"""

from __future__ import annotations

import argparse
import os
import statistics
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
from fidtools.search.rescoring import exact_scores
from fidtools.search.vectors import FileVectors

CLUSTERS, NOISE, BLOCK = 3000, 0.7, 50_000


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
        scores = exact_scores(question[None].astype(float), table[among], np.zeros_like(among), np.arange(len(among)))
        tied += bool(np.abs(scores - scores[-1]).max() < 1e-6)
    return same, tied


def compare(name: str, rounds: int, contenders: dict[str, Callable[[], object]], base: str) -> None:
    """Medians over interleaved rounds, and each one's speed relative to `base` within the same round."""
    for work in contenders.values():
        work()
    times = [{key: seconds(work) for key, work in contenders.items()} for _ in range(rounds)]
    print(f"\n{name}")
    for key in contenders:
        wall, cpu = (statistics.median(round_[key][i] for round_ in times) for i in (0, 1))
        ratios = sorted(round_[base][0] / round_[key][0] for round_ in times)
        by_cpu = statistics.median(round_[base][1] / round_[key][1] for round_ in times)
        print(
            f"  {key:24} {wall:8.3f} s wall {cpu:8.3f} s cpu   {statistics.median(ratios):5.2f}× {base}"
            f" ({ratios[0]:.2f} … {ratios[-1]:.2f}; {by_cpu:.2f}× by cpu)"
        )


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
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "p.npy"
        table = write_vectors(path, options.rows, options.dim)
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
    print(f"fastest product here: {fastest_product(options.questions)}")
    ours, theirs = search(questions, vectors, k).rows, flat.search(questions, k)[1]
    same, tied = same_as_faiss(questions, table, ours, theirs)
    print(f"the same {k} passages: {same} of {len(questions)} questions; differing only in float32 ties: {tied}")
    compare(
        "a batch",
        options.rounds,
        {
            "IndexFlatIP": lambda: flat.search(questions, k),
            "exact, fastest product": lambda: search(questions, vectors, k),
            "exact, float32": lambda: search(questions, vectors, k, product="float32"),
        },
        "IndexFlatIP",
    )
    one = questions[:1]
    contenders = {"IndexFlatIP": lambda: flat.search(one, k), "exact": lambda: search(one, vectors, k)}
    compare("one question", options.rounds, contenders, "IndexFlatIP")


if __name__ == "__main__":
    main()
