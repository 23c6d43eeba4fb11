"""Embedding files of other systems as (ids, vectors), told apart by what is in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidtools.data.batched import batched
from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.records import Location
from fidtools.errors import DataError, MissingExtraError
from fidtools.formats import parsing as sources
from fidtools.formats.pickles import load_pickle

Vectors = NDArray[np.floating[Any]]
Block = tuple[list[str], Vectors]
ROWS = 10_000


def read_pickled(path: PathLike) -> Iterator[Block]:
    """The vectors of a pickle, whichever of the five layouts it has.

    FiD and Contriever: (ids, array); Tevatron: (array, ids); DPR: [(id, vector), …];
    EMDR2: {"embed_data": {id: vector}}. Raises DataError for anything else, and when ids and
    rows differ in number.
    """
    yield _checked(*_layout(load_pickle(path), path), path)


def _layout(value: Any, path: PathLike) -> tuple[Iterable[Any], Any]:
    if isinstance(value, dict) and isinstance(value.get("embed_data"), dict):
        value = list(value["embed_data"].items())
    if isinstance(value, tuple | list) and len(value) == 2 and sum(_is_matrix(part) for part in value) == 1:
        first, second = value
        return (second, first) if _is_matrix(first) else (first, second)
    pairs = isinstance(value, list) and value and all(isinstance(v, tuple | list) and len(v) >= 2 for v in value)
    if pairs and all(isinstance(v[1], np.ndarray) and v[1].ndim == 1 for v in value):
        if len({len(v[1]) for v in value}) > 1:
            raise DataError("vectors of different lengths", path=path)
        return [v[0] for v in value], np.stack([v[1] for v in value])
    hint = "known are (ids, array), (array, ids), [(id, vector), …] and {'embed_data': {id: vector}}"
    raise DataError("a pickle, but not of embeddings", path=path, value=type(value).__name__, hint=hint)


def _is_matrix(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind == "f"


def _checked(ids: Iterable[Any], vectors: Any, path: PathLike) -> Block:
    if not isinstance(ids, list | tuple | np.ndarray | range):
        raise DataError("the ids are no list", path=path, value=type(ids).__name__)
    names = [str(name) for name in ids]
    if len(names) != len(vectors):
        raise DataError(f"{len(names)} ids for {len(vectors)} vectors", path=path)
    return names, vectors


def read_jsonl_vectors(path: PathLike) -> Iterator[Block]:
    """Pyserini's embeddings.jsonl: `id`, `contents`, `vector`; the contents stay behind."""
    for batch in batched(read_json(path), ROWS):
        yield [str(record.get("id")) for _, record in batch], _stack(batch, path)


def _stack(batch: Sequence[tuple[int, dict[str, Any]]], path: PathLike) -> Vectors:
    first = batch[0][1].get("vector")
    width = len(first) if isinstance(first, list) else 0
    for number, record in batch:
        vector = record.get("vector")
        if "id" not in record or not (isinstance(vector, list) and len(vector) == width and width):
            raise Location(path, number).error("must be as many numbers on every line, with an id", "vector", vector)
        if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in vector):
            raise Location(path, number).error("must be numbers", "vector", vector)
    return np.array([record["vector"] for _, record in batch], dtype=np.float32)


def read_pyserini_index(path: PathLike) -> Iterator[Block]:
    """Pyserini's flat FAISS folder: the vectors in `index`, line i of `docid` names vector i."""
    folder = Path(path)
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("reading a FAISS index", "cpu") from error
    ids = [line for _, line in sources.lines(folder / "docid")]
    try:
        index = faiss.read_index(str(folder / "index"))
    except RuntimeError as error:
        raise DataError("not a FAISS index", path=folder / "index", value=str(error)) from error
    if index.ntotal != len(ids):
        raise DataError(f"{len(ids)} ids for {index.ntotal} vectors", path=path)
    try:
        for start in range(0, index.ntotal, ROWS):
            yield ids[start : start + ROWS], index.reconstruct_n(start, min(ROWS, index.ntotal - start))
    except RuntimeError as error:
        raise DataError("this kind of FAISS index gives its vectors only approximately or not", path=path) from error


def read_flashrag(path: PathLike) -> Iterator[Block]:
    """FlashRAG's `emb_*.memmap`: raw float32 without a header. The row is the id, since the file has none.

    The width is taken from a `config.json` beside it (`hidden_size`) or from the name (`…_768.memmap`).
    """
    width = _width(Path(path))
    size = Path(path).stat().st_size
    if size == 0 or size % (4 * width):
        raise DataError(f"{size} bytes are no whole number of rows of {width} float32", path=path)
    vectors = np.memmap(path, dtype=np.float32, mode="r").reshape(-1, width)
    for start in range(0, len(vectors), ROWS):
        block = vectors[start : start + ROWS]
        yield [str(row) for row in range(start, start + len(block))], np.asarray(block)


def _width(path: Path) -> int:
    beside = path.parent / "config.json"
    if beside.is_file():
        try:
            return int(json.loads(beside.read_bytes())["hidden_size"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError("no hidden_size in it", path=beside) from error
    if found := re.search(r"[_-](\d+)\.memmap$", path.name):
        return int(found[1])
    hint = "put the encoder's config.json beside it, or rename it to end in _768.memmap"
    raise DataError("a memmap does not say how wide its rows are", path=path, hint=hint)
