"""A FAISS index folder opened for search: `vectors.faiss`, `passages.ids` (line i names vector i), `meta.json`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.compute.ranks import ranks
from fidtools.data.corpus import Corpus
from fidtools.data.embeddings import encoder_setting, recorded_encoder
from fidtools.data.hashes import file_sha256
from fidtools.data.jsonl import read_json_object
from fidtools.data.number_text import number_of
from fidtools.data.top_k import TopK
from fidtools.data.vector_type import fitted
from fidtools.errors import DataError, FidtoolsError, MismatchError, UsageError, shorten
from fidtools.search.corpus_match import (
    Fingerprint,
    encoder_mismatches,
    passage_mismatches,
    raise_or_warn,
    refuse_width,
)
from fidtools.search.faiss_file import faiss_reason, load_faiss, open_file
from fidtools.typing import Array

AT_LEAST_ONE = ("nprobe", "efSearch", "efConstruction")
MAX_PARAMETER = 1_000_000  # FAISS allocates memory for as many candidates


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
            value = number_of(text)
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
        self.passages, self.dim, self.encoder = passages, int(meta["dim"]), recorded_encoder(meta)
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
    meta = {} if folder.is_file() else read_json_object(folder / "meta.json")
    if "factory" not in meta:
        hint = "`fidtools index X.npy -o FOLDER` makes one; --embeddings searches X.npy itself"
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


def _mismatches(
    folder: Path, meta: dict[str, Any], passages: Corpus, encoder: Fingerprint | None
) -> Iterator[MismatchError]:
    same_ids = meta["ids_sha256"] == passages.ids_sha256
    hashes = meta.get("texts") or [(meta["rows"], meta.get("text_sha256"))]
    yield from passage_mismatches(folder, meta["rows"], same_ids, hashes, passages)
    yield from encoder_mismatches(folder, recorded_encoder(meta), encoder)
