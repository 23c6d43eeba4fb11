"""What gives questions their vectors: a retriever, or embeddings that are on disk already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fidtools.data.embeddings import read_parts
from fidtools.data.records import Question
from fidtools.errors import DataError
from fidtools.search.corpus_match import Fingerprint
from fidtools.search.question_match import QuestionTexts, refuse_passages
from fidtools.search.retrieval import QuestionEncode
from fidtools.search.vectors import ConcatenatedVectors, float_vectors
from fidtools.typing import Array


@dataclass(frozen=True)
class QuestionSide:
    """`encode` gives vectors of length `dim`, of norm 1 when `normalized`; `fingerprint` is that of the encoder of the
    passages that they may be compared with, where it is known."""

    encode: QuestionEncode
    dim: int
    normalized: bool
    fingerprint: Fingerprint | None = None


def stored_questions(path: Path, force: bool = False) -> QuestionSide:
    """Embeddings of questions (one file or shards), found by the questions' ids.

    They are `normalized` where the encoder on record is; vectors from elsewhere have none on record. Raises UsageError
    for vectors of passages and DataError for two vectors of one id. `encode` raises DataError for a question without a
    vector and, unless `force` is set, for one whose vector was made from another text.
    """
    parts = read_parts(path)
    refuse_passages(parts)
    texts = QuestionTexts(path, parts, force)
    vectors = ConcatenatedVectors([float_vectors(part) for part in parts])
    ids = [identifier for part in parts for identifier in part.ids]
    rows = {identifier: row for row, identifier in enumerate(ids)}
    if len(rows) < len(ids):
        twice = next(name for row, name in enumerate(ids) if rows[name] != row)
        raise DataError("two vectors have this id", path=path, field="id", value=twice)

    def encode(questions: Sequence[Question]) -> Array:
        distinct, places = np.unique([row_of(question) for question in questions], return_inverse=True)
        return np.asarray(vectors.take(distinct), np.float32)[places]

    def row_of(question: Question) -> int:
        row = rows.get(question.id)
        if row is None:
            hint = "vectors are found by the ids of the questions: X.ids lists those of X.npy"
            raise question.error(f"{path} has no vector of this question", "id", question.id, hint=hint)
        texts.check(row, question)
        return row

    return QuestionSide(encode, parts[0].dim, parts[0].normalized, parts[0].encoder)
