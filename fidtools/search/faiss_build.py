"""Building FAISS index folders from embeddings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.data.embeddings import Embeddings, IdList, read_embeddings, shards
from fidtools.data.files import PathLike, atomic_folder
from fidtools.data.jsonl import write_json
from fidtools.errors import DataError, FidtoolsError, MismatchError, UsageError
from fidtools.logs import log, track
from fidtools.search.exact import search
from fidtools.search.faiss_index import load_faiss, set_parameters
from fidtools.search.index_specs import IndexSpec
from fidtools.search.vectors import ConcatenatedVectors, FileVectors, Vectors, vector_blocks
from fidtools.typing import Array

BLOCK_ROWS = 1 << 16  # vectors added together
META_FROM_EMBEDDINGS = ("encoder", "text_sha256", "precision")
MAX_VERIFY_QUESTIONS = 1000


def build_index(
    path: Path,
    folder: Path,
    spec: IndexSpec,
    *,
    questions: PathLike | None = None,
    k: int = 100,
    gpu: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Index the embeddings X.npy (or their shards) by inner product in `folder`; returns what its meta.json says.

    It is trained on a random sample, and vectors are added in blocks. With `questions` (their embeddings), `recall` in
    the meta is the share of the exact `k` best that the index finds, for up to 1,000 of them. Raises UsageError for an
    index that FAISS does not know, MismatchError when the questions were embedded by another encoder.
    """
    faiss, parts = load_faiss(), [read_embeddings(part) for part in shards(path)]
    vectors = ConcatenatedVectors([FileVectors(part.path) for part in parts])
    asked = None if questions is None else _sample_questions(questions, parts[0], seed)
    started = time.perf_counter()
    with atomic_folder(folder) as partial:
        index = _built(faiss, spec, vectors, gpu, seed)
        faiss.write_index(index, str(partial / "vectors.faiss"))
        _copy_ids(parts, partial / "passages.ids")
        meta = {name: parts[0].meta[name] for name in META_FROM_EMBEDDINGS if name in parts[0].meta}
        meta |= {"factory": spec.factory, "parameters": spec.parameters, "metric": "inner product", "seed": seed}
        meta |= {"rows": vectors.shape[0], "dim": vectors.shape[1]}
        meta["ids_sha256"] = IdList(partial / "passages.ids").sha256
        meta |= {"seconds": round(time.perf_counter() - started, 1)}
        meta["bytes"] = (partial / "vectors.faiss").stat().st_size
        if asked is not None:
            meta["recall"] = {"k": k, "questions": len(asked), "value": recall(index, vectors, asked, k)}
        write_json(partial / "meta.json", meta)
    return meta


def _built(faiss: Any, spec: IndexSpec, vectors: Vectors, gpu: bool, seed: int) -> Any:
    rows, dim = vectors.shape
    try:
        index = faiss.index_factory(dim, spec.factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        hint = "see https://github.com/facebookresearch/faiss/wiki/The-index-factory"
        raise UsageError(f"FAISS cannot make the index {spec.factory} of vectors of length {dim}", hint=hint) from error
    set_parameters(faiss, index, spec.parameters)
    if gpu:
        index = _on_gpu(faiss, index)
    if not index.is_trained:
        count = min(rows, spec.training_rows)
        picked = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
        log.info("training %s on %s of %s vectors", spec.factory, f"{count:,}", f"{rows:,}")
        index.train(_float32(vectors.take(picked)))
    for _, stored in track(vector_blocks(vectors, BLOCK_ROWS), "vectors added", rows, size=lambda block: len(block[1])):
        index.add(_float32(stored))
    if gpu:
        index = faiss.index_gpu_to_cpu(index)
        set_parameters(faiss, index, spec.parameters)
    return index


def _on_gpu(faiss: Any, index: Any) -> Any:
    if not getattr(faiss, "get_num_gpus", int)():
        raise FidtoolsError(
            "FAISS finds no GPU", hint="pip install 'fidtools[gpu]' (after uninstalling faiss-cpu), or leave out --gpu"
        )
    try:
        return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    except RuntimeError as error:
        raise UsageError("FAISS does not support this index on GPUs", hint="leave out --gpu") from error


def _float32(stored: Array) -> Array:
    found = np.ascontiguousarray(stored, np.float32)
    if not np.isfinite(found).all():
        raise DataError("vectors with NaN or infinite numbers cannot be searched", field="vectors")
    return found


def _copy_ids(parts: Sequence[Embeddings], path: Path) -> None:
    with open(path, "wb") as out:
        for part in parts:
            with open(part.ids.path, "rb") as source:
                shutil.copyfileobj(source, out)


def _sample_questions(path: PathLike, passages: Embeddings, seed: int, limit: int = MAX_VERIFY_QUESTIONS) -> Array:
    questions = read_embeddings(path)
    their_encoder, our_encoder = questions.meta.get("encoder"), passages.meta.get("encoder")
    if questions.dim != passages.dim or their_encoder != our_encoder:
        problem = f"these questions were not embedded by the retriever of {passages.path}"
        raise MismatchError(problem, path=path, hint="fidtools embed --questions with the same retriever")
    picked = np.random.default_rng(seed).choice(questions.rows, min(limit, questions.rows), replace=False)
    return np.asarray(questions.vectors[np.sort(picked)], np.float32)


def recall(index: Any, vectors: Vectors, asked: Array, k: int) -> float:
    """The share of the exact `k` best passages that the index finds, over all questions."""
    exact = search(asked, vectors, k).rows
    found = index.search(asked, exact.shape[1])[1]
    return float(np.mean([np.isin(e, f).mean() for e, f in zip(exact, found, strict=True)]))
