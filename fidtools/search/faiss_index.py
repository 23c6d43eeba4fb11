"""FAISS index folders: `vectors.faiss`, `passages.ids` (line i names vector i), `meta.json`."""

from __future__ import annotations

import importlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.compute.ranks import ranks
from fidtools.data.corpus import Corpus
from fidtools.data.embeddings import Embeddings, IdList, read_embeddings, shards
from fidtools.data.files import PathLike, atomic_folder
from fidtools.data.jsonl import write_json
from fidtools.errors import DataError, FidtoolsError, MismatchError, MissingExtraError, UsageError
from fidtools.logs import log, track
from fidtools.search.backends import Encoder, complain, other_encoder, other_passages
from fidtools.search.exact import search
from fidtools.search.faiss_recipes import Recipe
from fidtools.search.ranked import Ranked, best
from fidtools.search.vectors import FileVectors, Stacked, Vectors, blocks
from fidtools.typing import Array

BLOCK = 1 << 16  # vectors added together
KEPT = ("encoder", "text_sha256", "precision")  # of the embeddings' meta


def load_faiss() -> Any:
    """The module. Raises MissingExtraError where it is not installed."""
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise MissingExtraError("a FAISS index", "cpu") from error


def build_index(
    path: Path,
    folder: Path,
    recipe: Recipe,
    *,
    questions: PathLike | None = None,
    k: int = 100,
    gpu: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Index the embeddings X.npy (or their shards) by inner product in `folder`; returns its meta.

    Training takes a random sample; vectors are added in blocks. With `questions` (their embeddings), `recall` in the
    meta is the share of the exact `k` best that the index finds for up to 1,000 of them. Raises UsageError for a recipe
    that FAISS does not know, MismatchError when the questions are of another encoder.
    """
    faiss, parts = load_faiss(), [read_embeddings(part) for part in shards(path)]
    vectors = Stacked([FileVectors(part.path) for part in parts])
    asked = None if questions is None else _sample_questions(questions, parts[0], seed)
    started = time.perf_counter()
    with atomic_folder(folder) as partial:
        index = _filled(faiss, recipe, vectors, gpu, seed)
        faiss.write_index(index, str(partial / "vectors.faiss"))
        _copy_ids(parts, partial / "passages.ids")
        meta = {name: parts[0].meta[name] for name in KEPT if name in parts[0].meta}
        meta |= {"factory": recipe.factory, "parameters": recipe.parameters, "metric": "inner product", "seed": seed}
        meta |= {"rows": vectors.shape[0], "dim": vectors.shape[1]}
        meta["ids_sha256"] = IdList(partial / "passages.ids").sha256
        meta |= {"seconds": round(time.perf_counter() - started, 1)}
        meta["bytes"] = (partial / "vectors.faiss").stat().st_size
        if asked is not None:
            meta["recall"] = {"k": k, "questions": len(asked), "value": recall(index, vectors, asked, k)}
        write_json(partial / "meta.json", meta)
    return meta


def _filled(faiss: Any, recipe: Recipe, vectors: Vectors, gpu: bool, seed: int) -> Any:
    rows, dim = vectors.shape
    try:
        index = faiss.index_factory(dim, recipe.factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        hint = "see https://github.com/facebookresearch/faiss/wiki/The-index-factory"
        raise UsageError(f"FAISS makes no index of {dim} numbers called {recipe.factory}", hint=hint) from error
    _set_parameters(faiss, index, recipe.parameters)
    if gpu:
        index = _on_gpu(faiss, index)
    if not index.is_trained:
        count = min(rows, recipe.training_rows)
        picked = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
        log.info("training %s on %s of %s vectors", recipe.factory, f"{count:,}", f"{rows:,}")
        index.train(_float32(vectors.take(picked)))
    for _, stored in track(blocks(vectors, BLOCK), "adding", -(-rows // BLOCK)):
        index.add(_float32(stored))
    if gpu:
        index = faiss.index_gpu_to_cpu(index)
        _set_parameters(faiss, index, recipe.parameters)
    return index


def _on_gpu(faiss: Any, index: Any) -> Any:
    if not getattr(faiss, "get_num_gpus", int)():
        raise FidtoolsError(
            "FAISS sees no GPU", hint="pip install 'fidtools[gpu]' (in place of faiss-cpu), or drop --gpu"
        )
    try:
        return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    except RuntimeError as error:
        raise UsageError("FAISS has no such index for GPUs", hint="drop --gpu") from error


def _float32(stored: Array) -> Array:
    found = np.ascontiguousarray(stored, np.float32)
    if not np.isfinite(found).all():
        raise DataError("NaN or infinite numbers cannot be searched", field="vectors")
    return found


def _copy_ids(parts: Sequence[Embeddings], path: Path) -> None:
    with open(path, "wb") as out:
        for part in parts:
            with open(part.ids.path, "rb") as source:
                shutil.copyfileobj(source, out)


def _sample_questions(path: PathLike, passages: Embeddings, seed: int, most: int = 1000) -> Array:
    questions = read_embeddings(path)
    theirs, ours = questions.meta.get("encoder"), passages.meta.get("encoder")
    if questions.dim != passages.dim or theirs != ours:
        problem = f"these questions were not embedded by the retriever of {passages.path}"
        raise MismatchError(problem, path=path, hint="fidtools embed --questions with the same retriever")
    picked = np.random.default_rng(seed).choice(questions.rows, min(most, questions.rows), replace=False)
    return np.asarray(questions.vectors[np.sort(picked)], np.float32)


def recall(index: Any, vectors: Vectors, asked: Array, k: int) -> float:
    """The share of the exact `k` best passages that the index finds, over all questions."""
    exact = search(asked, vectors, k).rows
    found = index.search(asked, exact.shape[1])[1]
    return float(np.mean([np.isin(e, f).mean() for e, f in zip(exact, found, strict=True)]))


def _set_parameters(faiss: Any, index: Any, parameters: str) -> None:
    try:
        faiss.ParameterSpace().set_index_parameters(index, parameters)
    except RuntimeError as error:
        raise UsageError(
            f"this index has no parameters {parameters}", hint="such as nprobe=64 or efSearch=256"
        ) from error


class FaissIndex:
    """An index folder, mapped where FAISS can, checked against passages and encoder like embeddings."""

    def __init__(
        self,
        folder: Path,
        passages: Corpus,
        encoder: Encoder,
        *,
        force: bool = False,
        parameters: str | None = None,
    ) -> None:
        if ranks().world > 1:
            raise UsageError("an index is searched by one process", hint="--embeddings divides among ranks")
        faiss, meta = load_faiss(), _read_meta(folder)
        complain(_mismatches(folder, meta, passages, encoder), force)
        try:
            self._index = faiss.read_index(str(folder / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise DataError("not an index that FAISS can read", path=folder / "vectors.faiss") from error
        if self._index.ntotal != meta["rows"]:
            raise MismatchError(f"holds {self._index.ntotal} vectors instead of {meta['rows']}", path=folder)
        _set_parameters(faiss, self._index, meta["parameters"] if parameters is None else parameters)
        self.passages = passages

    def search(self, asked: Array, k: int) -> Ranked:
        """See `SearchIndex`; scores are the index's own."""
        scores, rows = self._index.search(asked, min(k, self._index.ntotal))
        return best(rows, np.where(rows < 0, -np.inf, scores), k)

    def search_within(self, asked: Array, doc_ids: Sequence[str], k: int) -> list[Ranked]:
        """Not by an index: raises UsageError."""
        raise UsageError("--within searches exactly", hint="give --embeddings instead of --index")


def _read_meta(folder: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_bytes())
    except ValueError as error:
        raise DataError(f"malformed JSON: {error}", path=folder / "meta.json") from error
    if "factory" not in meta:
        raise DataError("no FAISS index of fidtools", path=folder, hint="fidtools index X.npy -o FOLDER makes one")
    return meta


def _mismatches(folder: Path, meta: dict[str, Any], passages: Corpus, encoder: Encoder) -> Iterator[MismatchError]:
    yield from other_passages(folder, meta["rows"], meta["ids_sha256"] == passages.ids_sha256, passages)
    yield from other_encoder(folder, meta.get("encoder"), encoder)
