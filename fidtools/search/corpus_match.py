"""Whether embeddings or an index belong to a corpus and an encoder: an error for each thing that does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fidtools.data.corpus import Corpus
from fidtools.data.embeddings import Embeddings, different_encoders, text_hashes
from fidtools.errors import MismatchError, shorten
from fidtools.logs import log

Fingerprint = dict[str, Any]  # of an encoder, as the retriever and the embeddings' .json record it


def raise_or_warn(problems: Iterable[MismatchError], force: bool) -> None:
    """Raise the first problem; with `force`, warn of all of them instead."""
    for problem in problems:
        if not force:
            raise problem
        log.warning("%s (ignored because of --force)", problem.message)


def corpus_mismatches(path: Path, parts: Sequence[Embeddings], passages: Corpus) -> Iterator[MismatchError]:
    """An error when the embeddings were made from other passages."""
    rows = sum(part.rows for part in parts)
    same = len(parts) == 1 and parts[0].meta["ids_sha256"] == passages.ids_sha256
    other = None if same else _first_other_id(parts, passages)
    first = "" if other is None else f": row {other[0]} has the id {shorten(other[1])}, there {shorten(other[2])}"
    yield from passage_mismatches(path, rows, other is None, text_hashes(parts), passages, first)


def embedding_mismatches(
    path: Path, parts: Sequence[Embeddings], passages: Corpus, encoder: Fingerprint | None
) -> Iterator[MismatchError]:
    """An error for everything that keeps these embeddings from being searched for these passages by this encoder."""
    yield from corpus_mismatches(path, parts, passages)
    for part in parts:
        yield from encoder_mismatches(part.path, part.encoder, encoder)


def refuse_width(path: Path, stored: int, dim: int | None, meta: dict[str, Any]) -> None:
    """Raise MismatchError when the vectors of `path` have another length than the questions', where that is known.

    `meta` is their record, which says how long they were before `embed --dim` truncated them.
    """
    if dim is not None and dim not in (stored, meta.get("full_dim")):
        hint = "embed passages and questions with the same retriever"
        raise MismatchError(f"vectors of length {stored}, but those of the questions have {dim}", path=path, hint=hint)


def passage_mismatches(
    path: Path,
    rows: int,
    same_ids: bool,
    hashes: Sequence[tuple[int, str | None]],
    passages: Corpus,
    first_other: str = "",
) -> Iterator[MismatchError]:
    """An error when `path` belongs to another corpus than `passages`.

    Raises it where the numbers of rows differ, which nothing can overrule: a row would have no passage.

    `hashes` are those of the texts of consecutive rows, with their numbers of rows; None where none is on record.
    `first_other` describes the first row with another id, where that is known.
    """
    if rows != len(passages) or not same_ids:
        problem = f"its {rows} rows are not the {len(passages)} passages of {passages.path}{first_other}"
        hint = "embed these passages, or give the passages that were embedded, in their order"
        error = MismatchError(problem, path=path, hint=hint)
        if rows != len(passages):
            raise error
        yield error
    elif found := _first_other_texts(hashes, passages):
        where = f"somewhere in lines {found.start + 1} to {found.stop}"
        problem = f"made from other texts than those of {passages.path}, {where}: same ids, but edited"
        yield MismatchError(problem, path=path, hint="embed these passages again")


def _first_other_texts(hashes: Sequence[tuple[int, str | None]], passages: Corpus) -> range | None:
    """The rows, from 0, of the first part whose texts are not on record as they are now."""
    start = 0
    for rows, sha256 in hashes:
        if sha256 is not None and sha256 != passages.texts_sha256(start, start + rows):
            return range(start, start + rows)
        start += rows
    return None


def encoder_mismatches(path: Path, made_by: Fingerprint | None, encoder: Fingerprint | None) -> Iterator[MismatchError]:
    """An error when `path` was written by another encoder than the questions' (of vectors from elsewhere: None).

    How much of a passage is read does not concern questions: `embed --passage-maxlength` may have said it.
    """
    if names := [name for name in different_encoders(made_by, encoder) if name != "passage_maxlength"]:
        problem = f"written by another encoder than that of the questions: they differ in {', '.join(names)}"
        yield MismatchError(problem, path=path, hint="embed passages and questions with the same retriever")


def _first_other_id(parts: Sequence[Embeddings], passages: Corpus) -> tuple[int, str, str] | None:
    """The first row, from 0, that has another id there: row, id, that of the passage. None where all are the same."""
    ids = (identifier for part in parts for identifier in part.ids)
    pairs = enumerate(zip(ids, passages.ids(), strict=False))
    return next(((row, ours, theirs) for row, (ours, theirs) in pairs if ours != theirs), None)
