"""Estimates of the disk space, memory and time of every stage of an iteration, from rates measured on this machine."""

from __future__ import annotations

import itertools
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PASSAGE_BYTES = 650  # a passage of 100 words in DPR's Wikipedia
JSON_BYTES = 110  # added to a passage by a line of JSON: names, id, scores
ROWS_BYTES = 40  # per passage in `<passages>.rows/`, and in memory while it is made
BM25_BYTES = 200  # of the index per passage of 100 words, measured at 300,000 and 1.2 million passages
BM25_HEAP_BYTES = 0.4e9
TRAINING_FACTOR = 3  # cost of an update in forward passes: the backward pass costs two
MOST_TEXTS, MOST_TOKENS = 4, 2048  # of a batch whose encoding is timed, so that long texts do not take minutes
SECONDS_PER_RATE = 2.0  # of measuring, for each of the five rates


@dataclass(frozen=True)
class Work:
    """The planned iteration: sizes of the corpus and of the models, and the length of training.

    `tokens` are per passage, `memory` is the limit of exact search in bytes.
    """

    passages: int
    questions: int
    dim: int = 768
    layers: int = 12
    k: int = 100
    n_context: int = 100
    tokens: int = 200
    dtype_bytes: float = 4
    reader_examples: int = 640_000
    retriever_examples: int = 640_000
    memory: float = 1e9
    ranks: int = 1


@dataclass(frozen=True)
class Rates:
    """What one process does per second.

    `encoder`: tokens through an encoder of BERT's shape with the planned width and depth. `search`: multiplications of
    exact search. `bm25`: passages indexed. `disk_write`, `disk_read`: bytes.
    """

    encoder: float
    search: float
    bm25: float
    disk_write: float
    disk_read: float


@dataclass(frozen=True)
class Stage:
    """One command: seconds, bytes written to disk, and bytes of memory per process without the models."""

    name: str
    seconds: float
    disk: float
    memory: float


def stages(work: Work, rates: Rates) -> list[Stage]:
    """The stages of an iteration. Encoding, search and training are divided among the ranks.

    The reader is assumed to be as large as the retriever: scale its stages by the ratio of their sizes.
    """
    from fidtools.search.retrieval import BATCH_QUESTIONS

    n, m, tokens = work.passages, work.questions, work.tokens / (rates.encoder * work.ranks)
    found = min(work.k, n)
    text, lists = n * (PASSAGE_BYTES + JSON_BYTES), m * found * (PASSAGE_BYTES + JSON_BYTES)
    vectors = n * work.dim * work.dtype_bytes
    read = min(found, work.n_context)
    batches = -(-m // BATCH_QUESTIONS)
    searched = max(n * m * work.dim / rates.search, batches * vectors / rates.disk_read) / work.ranks
    return [
        Stage("passages", text / rates.disk_read, text + n * ROWS_BYTES, n * ROWS_BYTES),
        Stage("bm25 (index)", n / rates.bm25, n * BM25_BYTES, BM25_HEAP_BYTES),
        Stage("train-reader", TRAINING_FACTOR * work.reader_examples * read * tokens, 0, 0),
        Stage("score-attn", m * read * tokens, lists, 0),
        Stage("train-retriever", TRAINING_FACTOR * work.retriever_examples * read * tokens, 0, 0),
        Stage("embed", max(n * tokens, vectors / rates.disk_write), vectors, 0),
        Stage("retrieve", searched, lists, work.memory + 8 * n),
    ]


def calibrate(work: Work, folder: Path) -> Rates:
    """Measure the rates, in about ten seconds; `folder` is on the disk that the data will be on."""
    write, read = _disk_rates(folder)
    return Rates(_encoder_rate(work), _search_rate(work.dim), _bm25_rate(folder), write, read)


def rate(work: Callable[[], float]) -> float:
    """Units per second of a function that returns how many it has done. The first call, a warm-up, is not timed."""
    work()
    started, done = time.perf_counter(), 0.0
    while (elapsed := time.perf_counter() - started) < SECONDS_PER_RATE or not done:
        done += work()
    return done / elapsed


def _disk_rates(folder: Path, size: int = 1 << 26) -> tuple[float, float]:
    block = os.urandom(size)
    with tempfile.NamedTemporaryFile(dir=folder) as file:

        def write() -> float:
            file.seek(0)
            file.write(block)
            file.flush()
            os.fsync(file.fileno())
            return size

        def read() -> float:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            return len(file.read())

        return rate(write), rate(read)


def _encoder_rate(work: Work) -> float:
    """Tokens per second, by attention of linear memory; PyTorch's fast path for encoders needs a square of tokens."""
    import torch
    from torch import nn

    from fidtools.compute.device import Compute

    compute = Compute.choose()
    heads = next(heads for heads in range(max(1, work.dim // 64), 0, -1) if work.dim % heads == 0)
    layer = nn.TransformerEncoderLayer(work.dim, heads, 4 * work.dim, activation="gelu", batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).to(compute.device).eval()
    texts = max(1, min(MOST_TEXTS, MOST_TOKENS // work.tokens))
    states = torch.randn(texts, work.tokens, work.dim, device=compute.device)

    def encode() -> float:
        with torch.inference_mode(), compute.autocast():
            model(states).sum().item()
        return texts * work.tokens

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        return rate(encode) * 2 / work.layers
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _search_rate(dim: int, questions: int = 1024, passages: int = 1 << 16) -> float:
    """Multiplications per second, over enough passages that the start, where the threshold is low, hardly counts."""
    import numpy as np

    from fidtools.search.exact import search
    from fidtools.search.vectors import ArrayVectors

    draw = np.random.default_rng(0)
    asked, table = (draw.standard_normal((n, dim), np.float32) for n in (questions, passages))

    def compare() -> float:
        search(asked, ArrayVectors(table), 100)
        return questions * passages * dim

    return rate(compare)


def _bm25_rate(folder: Path, passages: int = 2000) -> float:
    from fidtools.data.records import Passage
    from fidtools.sparse.engine import BM25Settings
    from fidtools.sparse.tantivy_engine import build_tantivy

    draw = random.Random(0)
    words = [f"word{i}" for i in range(50_000)]
    texts = [" ".join(words[int(draw.paretovariate(0.6)) % len(words)] for _ in range(100)) for _ in range(passages)]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        numbers = itertools.count()

        def build() -> float:
            whole = (Passage(str(i), text) for i, text in enumerate(texts * 5))
            build_tantivy(Path(place) / str(next(numbers)), whole, BM25Settings())
            return 5 * passages

        return rate(build)
