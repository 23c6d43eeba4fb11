"""Building FAISS index folders from embeddings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.console import quiet_stderr
from fidtools.data.embeddings import Embeddings, IdList, read_parts, text_hashes
from fidtools.data.files import PathLike, atomic_folder
from fidtools.data.hashes import file_sha256
from fidtools.data.jsonl import write_json
from fidtools.data.outputs import FolderKind, refuse_foreign
from fidtools.data.vector_type import fitted
from fidtools.errors import DataError, FidtoolsError, MismatchError, UsageError
from fidtools.logs import log, track
from fidtools.search.exact import search
from fidtools.search.faiss_file import faiss_reason, load_faiss
from fidtools.search.faiss_index import set_parameters
from fidtools.search.index_specs import IndexSpec, check_factory
from fidtools.search.question_match import refuse_passages
from fidtools.search.vectors import ConcatenatedVectors, Vectors, float_vectors, vector_blocks
from fidtools.search.verification import MAX_VERIFY_QUESTIONS, recall_of
from fidtools.typing import Array

KIND = FolderKind("a FAISS index", ("meta.json", "vectors.faiss"), ("meta.json", "vectors.faiss", "passages.ids"))
BLOCK_ROWS = 1 << 16  # vectors added together
META_FROM_EMBEDDINGS = ("encoder", "precision", "full_dim")


def build_index(
    path: Path,
    folder: Path,
    spec: IndexSpec,
    *,
    questions: PathLike | None = None,
    k: int = 100,
    gpu: bool = False,
    seed: int = 0,
    force: bool = False,
) -> dict[str, Any]:
    """Index the embeddings X.npy (or their shards) by inner product in `folder`; returns what its meta.json says.

    It is trained on a random sample, and vectors are added in blocks. With `questions` (their embeddings), `recall` in
    the meta is the share of the exact `k` best that the index finds, for up to 1,000 of them. Raises UsageError for an
    index that FAISS does not know, for a folder with other files (unless `force`) and for vectors of passages as
    `questions`, MismatchError when the questions were embedded by another encoder.
    """
    refuse_foreign(folder, KIND, force=force)
    faiss, parts = load_faiss(), read_parts(path)
    vectors = ConcatenatedVectors([float_vectors(part) for part in parts])
    asked = None if questions is None else _sample_questions(questions, parts[0], seed)
    started = time.perf_counter()
    with atomic_folder(folder, KIND, force=force) as partial:
        index = _built(faiss, spec, vectors, gpu, seed)
        with open(partial / "vectors.faiss", "wb") as out:  # by Python: FAISS prints about a full disk, and goes on
            faiss.write_index(index, faiss.PyCallbackIOWriter(out.write))
        _copy_ids(parts, partial / "passages.ids")
        meta = {name: parts[0].meta[name] for name in META_FROM_EMBEDDINGS if name in parts[0].meta}
        if any(sha256 for _, sha256 in text_hashes(parts)):
            meta |= {"texts": text_hashes(parts)}
        meta |= {"factory": spec.factory, "parameters": spec.parameters, "metric": "inner product", "seed": seed}
        meta |= {"rows": vectors.shape[0], "dim": vectors.shape[1]}
        meta["ids_sha256"] = IdList(partial / "passages.ids").sha256
        meta |= {"seconds": round(time.perf_counter() - started, 1)}
        meta |= {"bytes": (partial / "vectors.faiss").stat().st_size, "sha256": file_sha256(partial / "vectors.faiss")}
        if asked is not None:
            meta["recall"] = {"k": k, "questions": len(asked), "value": recall(index, vectors, asked, k)}
        write_json(partial / "meta.json", meta)
    return meta


def _built(faiss: Any, spec: IndexSpec, vectors: Vectors, gpu: bool, seed: int) -> Any:
    rows, dim = vectors.shape
    check_factory(spec.factory)
    try:
        index = faiss.index_factory(dim, spec.factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        hint = "see https://github.com/facebookresearch/faiss/wiki/The-index-factory"
        raise UsageError(f"FAISS cannot make the index {spec.factory} of vectors of length {dim}", hint=hint) from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise UsageError(f"the index {spec.factory} does not compare by inner product")
    set_parameters(faiss, index, spec.parameters)
    if gpu:
        index = _on_gpu(faiss, index)
    try:
        _fill(index, spec, vectors, seed)
    except (RuntimeError, AssertionError) as error:
        hint = "choose a smaller or simpler index; `--type hnsw` and `--type flat` suit any number of vectors"
        problem = f"FAISS cannot build {spec.factory} of {rows:,} vectors of length {dim}: {faiss_reason(error)}"
        raise UsageError(problem, hint=hint) from error
    if gpu:
        index = faiss.index_gpu_to_cpu(index)
        set_parameters(faiss, index, spec.parameters)
    return index


def _fill(index: Any, spec: IndexSpec, vectors: Vectors, seed: int) -> None:
    """Train the index where its type needs that, and add all vectors. Raises RuntimeError as FAISS does."""
    rows = vectors.shape[0]
    if not index.is_trained:
        count = min(rows, spec.training_rows)
        picked = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
        log.info("training %s on %s of %s vectors", spec.factory, f"{count:,}", f"{rows:,}")
        sample = _float32(vectors.take(picked))
        with quiet_stderr():  # FAISS writes there, past our log, when there are fewer vectors than it likes
            index.train(sample)
    for _, stored in track(vector_blocks(vectors, BLOCK_ROWS), "vectors added", rows, size=lambda block: len(block[1])):
        index.add(_float32(stored))


def _on_gpu(faiss: Any, index: Any) -> Any:
    if not getattr(faiss, "get_num_gpus", int)():
        hint = "bin/setup gpu (in the repository) puts FAISS for GPUs in the place of the CPU's; or leave out --gpu"
        raise FidtoolsError("FAISS finds no GPU", hint=hint)
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
    """Vectors of at most `limit` questions of `X.npy` or its shards. Raises MismatchError for another encoder's."""
    parts = read_parts(path)
    refuse_passages(parts)
    questions, rows = parts[0], sum(part.rows for part in parts)
    their_encoder, our_encoder = questions.meta.get("encoder"), passages.meta.get("encoder")
    lengths = passages.dim, passages.meta.get("full_dim")
    if questions.dim not in lengths or their_encoder != our_encoder:
        problem = f"these questions were not embedded by the retriever of {passages.path}"
        raise MismatchError(problem, path=path, hint="fidtools embed --questions with the same retriever")
    picked = np.sort(np.random.default_rng(seed).choice(rows, min(limit, rows), replace=False))
    places = np.split(picked, np.searchsorted(picked, np.cumsum([part.rows for part in parts])[:-1]))
    first = np.cumsum([0, *(part.rows for part in parts[:-1])])
    asked = np.concatenate([part.decoded(at - start) for part, at, start in zip(parts, places, first, strict=True)])
    return fitted(asked, passages.dim, passages.meta.get("full_dim"), normalize=passages.normalized)


def recall(index: Any, vectors: Vectors, asked: Array, k: int) -> float:
    """The share of the exact `k` best passages that the index finds, over all questions."""
    exact = search(asked, vectors, k).rows
    found = index.search(asked, exact.shape[1])[1]
    return recall_of(found, exact)
