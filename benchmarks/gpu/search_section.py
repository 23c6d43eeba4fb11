"""Exact search of a corpus made on the device, beside PyTorch alone and, where it is installed, faiss-gpu."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu import library
from benchmarks.gpu.bench import Bench, memory
from benchmarks.gpu.data import Sizes

Way = Callable[[], np.ndarray]
CLUSTERS, NOISE = 3000, 0.7  # as in benchmarks/search.py
MADE = 500_000  # passages made at once
CHUNK = 1_000_000  # passages that PyTorch alone scores at once
CHECKED = 64  # questions whose lists are found again in float64
DOUBLE_CHUNK = 200_000
SPARE = 100  # candidates more than k, among which float32 ties are put in order


class Corpus:
    """Passages (n × d, float16) on the device and in memory, and questions (m × d, float32) near some of them."""

    def __init__(self, rows: int, sizes: Sizes, device: torch.device) -> None:
        draw = torch.Generator(device).manual_seed(0)
        normal = {"generator": draw, "device": device}
        spectrum = torch.arange(1, sizes.dim + 1, device=device) ** -0.5
        centres = torch.randn(CLUSTERS, sizes.dim, **normal) * spectrum
        self.device = torch.empty(rows, sizes.dim, dtype=torch.float16, device=device)
        host = torch.empty(rows, sizes.dim, dtype=torch.float16)
        for part, copy in zip(self.device.split(MADE), host.split(MADE), strict=True):
            own = torch.randint(CLUSTERS, (len(part),), **normal)
            noise = torch.randn(len(part), sizes.dim, **normal) * spectrum
            part.copy_(torch.nn.functional.normalize(centres[own] + NOISE * noise, dim=1))
            copy.copy_(part)
        self.host = host.numpy()
        picked = torch.randint(rows, (sizes.searched,), **normal)
        noisy = self.device[picked].float() + torch.randn(sizes.searched, sizes.dim, **normal) / sizes.dim**0.5
        self.asked = torch.nn.functional.normalize(noisy, dim=1)
        self.questions = self.asked.cpu().numpy()


def ways(corpus: Corpus, k: int) -> dict[str, Callable[[], Way]]:
    """Each makes ready what is not timed, and returns the search."""
    host = torch.from_numpy(corpus.host)
    return {
        "PyTorch, float16, corpus on the device": lambda: lambda: plain(corpus.asked, corpus.device, k),
        "PyTorch, float16, corpus in memory": lambda: lambda: plain(corpus.asked, host, k),
        "fidtools, corpus in memory": lambda: lambda: library.search(corpus.questions, corpus.host, k),
        "faiss-gpu, float16, corpus on the device": lambda: faiss_gpu(corpus, k),
    }


def search(bench: Bench) -> None:
    """A row for each way of searching, for each number of passages."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for wanted in bench.sizes.rows:
        rows = min(wanted, most_rows(bench.sizes.dim, device))
        with bench.attempt(f"{rows:,} × {bench.sizes.dim}"):
            _search_among(bench, rows, device)


def _search_among(bench: Bench, rows: int, device: torch.device) -> None:
    sizes, started = bench.sizes, time.perf_counter()
    corpus = Corpus(rows, sizes, device)
    right = exactly(corpus.asked[:CHECKED], corpus.device, sizes.k)
    title = f"{rows:,} × {sizes.dim}"
    bench.row(f"{title}: made, and searched in float64", note=f"{time.perf_counter() - started:.1f} s")
    library.search(corpus.questions, corpus.host[: rows // 20], sizes.k)  # warm up
    for name, make in ways(corpus, sizes.k).items():
        _time(bench, f"{title}: {name}", make, right, sizes, rows)


def _time(bench: Bench, name: str, make: Callable[[], Way], right: np.ndarray, sizes: Sizes, rows: int) -> None:
    with bench.attempt(name):
        way = make()
        started = time.perf_counter()
        found = way()[: len(right)]
        seconds = time.perf_counter() - started
        same = int((found == right).all(1).sum())
        recall = sum(np.intersect1d(a, b).size for a, b in zip(found, right, strict=True)) / right.size
        bench.row(
            name,
            rate=sizes.searched / seconds,
            unit="questions/s",
            tflops=2.0 * sizes.searched * rows * sizes.dim / seconds / 1e12,
            memory=memory(),
            note=f"{sizes.searched:,} questions, k = {sizes.k}, {seconds:.2f} s; "
            f"the exact list for {same} of {len(right)}, recall {recall:.5f}",
        )


def most_rows(dim: int, device: torch.device) -> int:
    """So many that the corpus takes six tenths of the device's memory."""
    return int(0.6 * torch.cuda.mem_get_info()[1] / (2 * dim)) if device.type == "cuda" else 1 << 40


@torch.inference_mode()
def plain(asked: Tensor, corpus: Tensor, k: int) -> np.ndarray:
    """A product and a top-k for each chunk, in float16; what a few lines of PyTorch do."""
    half = asked.half()
    scores, rows = [], []
    for start in range(0, len(corpus), CHUNK):
        products = half @ corpus[start : start + CHUNK].to(asked.device).T
        best = products.topk(min(k, products.shape[1]))
        scores.append(best.values)
        rows.append(best.indices + start)
        del products
    best = torch.cat(scores, 1).topk(k)
    return torch.cat(rows, 1).gather(1, best.indices).cpu().numpy()


@torch.inference_mode()
def exactly(asked: Tensor, corpus: Tensor, k: int) -> np.ndarray:
    """The k best rows by float64 sums, rounded to float32, equal scores by row."""
    kept, double = min(k + SPARE, len(corpus)), asked.double()
    scores, rows = [], []
    for start in range(0, len(corpus), DOUBLE_CHUNK):
        products = double @ corpus[start : start + DOUBLE_CHUNK].double().T
        best = products.topk(min(kept, products.shape[1]))
        scores.append(best.values)
        rows.append(best.indices + start)
    best = torch.cat(scores, 1).topk(kept)
    found = torch.cat(rows, 1).gather(1, best.indices).cpu().numpy()
    order = np.lexsort((found, -best.values.float().cpu().numpy()))[:, :k]
    return np.take_along_axis(found, order, 1)


def faiss_gpu(corpus: Corpus, k: int) -> Way:
    """GpuIndexFlatIP, filled."""
    import faiss

    if not getattr(faiss, "get_num_gpus", int)():
        raise ModuleNotFoundError(name="faiss with GPUs")
    settings = faiss.GpuIndexFlatConfig()
    settings.useFloat16 = True
    index: Any = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), corpus.host.shape[1], settings)
    for start in range(0, len(corpus.host), MADE):
        index.add(corpus.host[start : start + MADE].astype(np.float32))
    return lambda: index.search(corpus.questions, k)[1]
