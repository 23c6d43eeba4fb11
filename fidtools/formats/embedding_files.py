"""Embedding files of other systems, read in blocks of (ids, vectors)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from fidtools.data.batched import batched
from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.memory_limit import limited_memory, memory_bound
from fidtools.data.records import Location
from fidtools.errors import DataError, MissingExtraError
from fidtools.formats.detection import keys, suffix
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.parsing import read_lines
from fidtools.formats.pickles import load_pickle

Vectors = NDArray[np.floating[Any]]
Block = tuple[list[str], Vectors]
ROWS_PER_BLOCK = 10_000


def read_pickled(path: PathLike) -> Iterator[Block]:
    """The vectors of a pickle in any of these layouts.

    FiD and Contriever: (ids, array); Tevatron: (array, ids); DPR: [(id, vector), …]; EMDR2:
    {"embed_data": {id: vector}}. Raises DataError for anything else, and when the numbers of ids and rows differ.
    """
    value = load_pickle(path)
    if isinstance(value, dict) and isinstance(value.get("embed_data"), dict):
        value = list(value["embed_data"].items())
    if _is_ids_with_matrix(value):
        first, second = value
        yield checked_block(second, first, path) if _is_matrix(first) else checked_block(first, second, path)
    elif _is_list_of_pairs(value):
        yield from _pairs(value, path)
    else:
        hint = "supported are (ids, array), (array, ids), [(id, vector), …] and {'embed_data': {id: vector}}"
        raise DataError("a pickle, but not of embeddings", path=path, value=type(value).__name__, hint=hint)


def _is_ids_with_matrix(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and sum(map(_is_matrix, value)) == 1


def _is_list_of_pairs(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_pair, value))


def _is_pair(value: Any) -> bool:
    if not (isinstance(value, tuple | list) and len(value) >= 2):
        return False
    return isinstance(value[1], np.ndarray) and value[1].ndim == 1 and value[1].dtype.kind in "fiu"


def _is_matrix(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind == "f"


def _pairs(pairs: Sequence[Any], path: PathLike) -> Iterator[Block]:
    """The vectors of [(id, vector), …] in blocks. The same vector may be listed any number of times."""
    if len({len(pair[1]) for pair in pairs}) > 1:
        raise DataError("vectors of different lengths", path=path)
    if sum(pair[1].nbytes for pair in pairs) > memory_bound(path):
        raise DataError(f"{len(pairs)} vectors need far more memory than the file's size", path=path)
    for start in range(0, len(pairs), ROWS_PER_BLOCK):
        block = pairs[start : start + ROWS_PER_BLOCK]
        yield checked_block([pair[0] for pair in block], np.stack([np.asarray(pair[1]) for pair in block]), path)


def checked_block(ids: Any, vectors: Any, path: PathLike) -> Block:
    """Ids as strings, with their vectors. Raises DataError for other ids, and when the numbers differ."""
    if not isinstance(ids, list | tuple | np.ndarray):
        raise DataError("the ids are not a list", path=path, value=type(ids).__name__)
    names = [_name(identifier, path) for identifier in ids]
    if len(names) != len(vectors):
        raise DataError(f"{len(names)} ids for {len(vectors)} vectors", path=path)
    return names, np.asarray(vectors)


def _name(identifier: Any, path: PathLike) -> str:
    """An id as a string. A list in place of one could hold itself, or grow without end when it is written out."""
    if isinstance(identifier, int | np.integer) and not isinstance(identifier, bool) and abs(int(identifier)) < 1 << 64:
        return str(identifier)
    try:
        name = identifier.decode() if isinstance(identifier, bytes) else identifier
        if not isinstance(name, str):
            kind = type(identifier).__name__
            raise DataError("an id must be a string or an integer of 64 bits", path=path, value=kind)
        name.encode()
    except UnicodeError as error:
        raise DataError("an id must be valid Unicode", path=path, value=identifier) from error
    return str(name)


def read_jsonl_vectors(path: PathLike) -> Iterator[Block]:
    """Pyserini's embeddings.jsonl: `id`, `contents`, `vector`; the contents are dropped."""
    for batch in batched(read_json(path), ROWS_PER_BLOCK):
        vectors = _stack(batch, path)
        yield checked_block([record["id"] for _, record in batch], vectors, path)


def _stack(batch: Sequence[tuple[int, dict[str, Any]]], path: PathLike) -> Vectors:
    first = batch[0][1].get("vector")
    width = len(first) if isinstance(first, list) else 0
    for number, record in batch:
        vector = record.get("vector")
        if record.get("id") is None or not (isinstance(vector, list) and len(vector) == width and width):
            raise Location(path, number).error(
                "must be a list of numbers, as many as on the first line, beside an id", "vector", vector
            )
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
    ids = [line for _, line in read_lines(folder / "docid")]
    try:
        with limited_memory(memory_bound(folder / "index")):
            index = faiss.read_index(str(folder / "index"))
    except (RuntimeError, MemoryError) as error:
        raise DataError("not a FAISS index", path=folder / "index", value=str(error)) from error
    if index.ntotal != len(ids):
        raise DataError(f"{len(ids)} ids for {index.ntotal} vectors", path=path)
    try:
        for start in range(0, index.ntotal, ROWS_PER_BLOCK):
            yield (
                ids[start : start + ROWS_PER_BLOCK],
                index.reconstruct_n(start, min(ROWS_PER_BLOCK, index.ntotal - start)),
            )
    except RuntimeError as error:
        raise DataError("vectors cannot be reconstructed exactly from this FAISS index type", path=path) from error


def read_flashrag(path: PathLike) -> Iterator[Block]:
    """FlashRAG's `emb_*.memmap`: raw float32 without a header. The file has no ids, so the row number is the id.

    The vector length is taken from a `config.json` beside it (`hidden_size`) or from the name (`…_768.memmap`).
    """
    width = _vector_length(Path(path))
    size = Path(path).stat().st_size
    if size == 0 or size % (4 * width):
        raise DataError(f"{size} bytes are not a multiple of {width} float32 values, the length of a vector", path=path)
    vectors = np.memmap(path, dtype=np.float32, mode="r").reshape(-1, width)
    for start in range(0, len(vectors), ROWS_PER_BLOCK):
        block = vectors[start : start + ROWS_PER_BLOCK]
        yield [str(row) for row in range(start, start + len(block))], np.asarray(block)


def _vector_length(path: Path) -> int:
    beside = path.parent / "config.json"
    if beside.is_file():
        try:
            width = int(orjson.loads(beside.read_bytes())["hidden_size"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise DataError("contains no hidden_size", path=beside) from error
        if width < 1:
            raise DataError("no length of a vector", path=beside, field="hidden_size", value=width)
        return width
    if found := re.search(r"[_-]([1-9]\d*)\.memmap$", path.name):
        return int(found[1])
    hint = "put the encoder's config.json beside it, or rename it to end in _768.memmap"
    raise DataError("the length of the vectors is unknown: a memmap has no header", path=path, hint=hint)


def _is_faiss_folder(head: Head) -> bool:
    return (head.path / "docid").is_file() and (head.path / "index").is_file()


def _is_pickle(head: Head) -> bool:
    """A pickle of protocol 2 or later."""
    return head.data[:1] == b"\x80" and head.data[1:2] in (b"\2", b"\3", b"\4", b"\5")


FORMATS = (
    Format(
        "pyserini-index", "embeddings", "Pyserini's FAISS folder", detect=_is_faiss_folder, read=read_pyserini_index
    ),
    Format(
        "pickled-embeddings",
        "embeddings",
        "pickles of FiD, Contriever, DPR, Tevatron, EMDR2",
        detect=_is_pickle,
        read=read_pickled,
    ),
    Format("flashrag-memmap", "embeddings", "FlashRAG's raw float32", detect=suffix(".memmap"), read=read_flashrag),
    Format(
        "jsonl-embeddings",
        "embeddings",
        "Pyserini's embeddings.jsonl",
        detect=keys("id", "vector.item"),
        read=read_jsonl_vectors,
    ),
)
