"""A FAISS index folder opened for search: `vectors.faiss`, `passages.ids` (line i names vector i), `meta.json`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.compute.ranks import ranks
from fidtools.data.corpus import Corpus
from fidtools.data.embeddings import encoder_setting
from fidtools.data.hashes import file_sha256
from fidtools.data.jsonl import read_json_object
from fidtools.data.memory_limit import limited_memory, memory_bound
from fidtools.data.top_k import TopK
from fidtools.data.vector_type import fitted
from fidtools.errors import DataError, FidtoolsError, MismatchError, MissingExtraError, UsageError, shorten
from fidtools.search.corpus_match import (
    Fingerprint,
    encoder_mismatches,
    passage_mismatches,
    raise_or_warn,
    refuse_width,
)
from fidtools.typing import Array

AT_LEAST_ONE = ("nprobe", "efSearch", "efConstruction")
MAX_PARAMETER = 1_000_000  # FAISS allocates memory for as many candidates
THREAD_BYTES = 16 << 20  # of address space that a thread takes for its stack


def load_faiss() -> Any:
    """The module. Raises MissingExtraError where it is not installed."""
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise MissingExtraError("a FAISS index", "cpu") from error


def faiss_reason(error: Exception) -> str:
    """What FAISS says, without the place in its source."""
    text = str(error) or type(error).__name__
    return shorten(re.sub(r"^Error in .*? at \S+: (Error: )?", "", text, flags=re.DOTALL), 200)


def set_parameters(faiss: Any, index: Any, parameters: str) -> None:
    """Set search parameters. Raises UsageError for those this type of index does not have, or that are no counts."""
    _check_parameters(parameters)
    try:
        faiss.ParameterSpace().set_index_parameters(index, parameters)
    except RuntimeError as error:
        hint = "parameters are such as nprobe=64 or efSearch=256"
        raise UsageError(f"this type of index does not accept the parameters {parameters}", hint=hint) from error


def _check_parameters(parameters: str) -> None:
    """Refuse what FAISS would take for some other number: it reads no further than it understands."""
    for part in filter(None, parameters.split(",")):
        name, _, text = (piece.strip() for piece in part.partition("="))
        least = 1.0 if name.rpartition("_")[2] in AT_LEAST_ONE else 0.0
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= MAX_PARAMETER:
            problem = f"search parameter {shorten(part)}: must be a number from {least:g} to {MAX_PARAMETER:,}"
            raise UsageError(problem, hint="parameters are such as nprobe=64 or efSearch=256")


class FaissIndex:
    """An index folder, memory-mapped where FAISS can, and checked against passages and encoder like embeddings."""

    def __init__(
        self,
        folder: Path,
        passages: Corpus,
        encoder: Fingerprint | None,
        *,
        dim: int | None = None,
        force: bool = False,
        parameters: str | None = None,
    ) -> None:
        if ranks().world > 1:
            raise UsageError("an index is searched by a single process", hint="--embeddings runs under torchrun")
        faiss, meta = load_faiss(), _read_meta(folder)
        refuse_width(folder, meta["dim"], dim, meta)
        raise_or_warn(_mismatches(folder, meta, passages, encoder), force)
        _check_file(folder / "vectors.faiss", meta)
        self._index = open_file(folder / "vectors.faiss", meta["rows"], meta["dim"])
        set_parameters(faiss, self._index, meta["parameters"] if parameters is None else parameters)
        self.passages, self.dim = passages, int(meta["dim"])
        self._path = folder / "vectors.faiss"
        self._full_dim = meta.get("full_dim")
        self._normalize = bool(encoder.get("normalize") if encoder is not None else encoder_setting(meta, "normalize"))

    def search(self, asked: Array, k: int) -> TopK:
        """See `SearchIndex`; scores are the index's own."""
        asked = fitted(asked, self.dim, self._full_dim, normalize=self._normalize)
        try:
            scores, rows = self._index.search(asked, min(k, self._index.ntotal))
        except (RuntimeError, AssertionError) as error:  # of another width, or parameters that do not go together
            raise FidtoolsError(f"FAISS cannot search this index: {faiss_reason(error)}") from error
        if rows.size and rows.max() >= len(self.passages):
            raise DataError("damaged: it finds rows beyond its vectors", path=self._path, hint="build the index again")
        return TopK.of(rows, np.where(rows < 0, -np.inf, scores), k)  # −1: nothing found

    def search_within(self, asked: Array, doc_ids: Sequence[str], k: int) -> list[TopK]:
        """Raises UsageError: an index cannot be restricted to a document."""
        raise UsageError("--within needs exact search", hint="give --embeddings instead of --index")


def _read_meta(folder: Path) -> dict[str, Any]:
    meta = read_json_object(folder / "meta.json")
    if "factory" not in meta:
        hint = "`fidtools index X.npy -o FOLDER` makes one"
        raise DataError("not a FAISS index folder of fidtools", path=folder, hint=hint)
    fields = {"rows": int, "dim": int, "bytes": int, "sha256": str, "ids_sha256": str, "parameters": str}
    for name, kind in fields.items():
        if not isinstance(meta.get(name), kind):
            problem = "missing or malformed"
            raise DataError(problem, path=folder / "meta.json", field=name, hint="build the index again")
    return meta


def _check_file(path: Path, meta: dict[str, Any]) -> None:
    """Raise MismatchError unless the file is as recorded: FAISS reads and runs on whatever a damaged one says."""
    if (size := path.stat().st_size) != meta["bytes"]:
        raise MismatchError(f"{size} bytes instead of {meta['bytes']}", path=path, hint="build the index again")
    if file_sha256(path) != meta["sha256"]:
        raise MismatchError("damaged: not the file that meta.json describes", path=path, hint="build the index again")


def open_file(path: Path, rows: int, dim: int) -> Any:
    """FAISS's index of so many vectors of that length, after one search.

    Both may take memory in proportion to the file's size, and no more. Raises DataError for a file that needs more or
    is damaged, MismatchError for vectors of another number or length.
    """
    faiss = load_faiss()
    try:
        with limited_memory(memory_bound(path) + THREAD_BYTES * faiss.omp_get_max_threads()):
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
            if index is None:  # a file may say so
                raise RuntimeError("no index")
            if index.ntotal != rows:
                raise MismatchError(f"contains {index.ntotal} vectors instead of {rows}", path=path.parent)
            if index.d != dim:
                raise MismatchError(f"contains vectors of length {index.d} instead of {dim}", path=path.parent)
            index.search(np.zeros((1, dim), np.float32), 1)
    except (RuntimeError, AssertionError, MemoryError) as error:
        raise DataError("damaged: FAISS cannot read it", path=path, hint="build the index again") from error
    return index


def _mismatches(
    folder: Path, meta: dict[str, Any], passages: Corpus, encoder: Fingerprint | None
) -> Iterator[MismatchError]:
    same_ids = meta["ids_sha256"] == passages.ids_sha256
    hashes = meta.get("texts") or [(meta["rows"], meta.get("text_sha256"))]
    yield from passage_mismatches(folder, meta["rows"], same_ids, hashes, passages)
    yield from encoder_mismatches(folder, meta.get("encoder"), encoder)
