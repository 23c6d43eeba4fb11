"""Hashes of single questions in the record of their embeddings, so that any of them can be compared with its text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from fidtools.data.embeddings import Embeddings
from fidtools.errors import DataError

FIELD = "text_sha256_by_row"
"""In `X.json`: the hashes of all rows in one string."""
DIGITS = 16


def question_hash(text: str) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a question's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def joined_hashes(texts: Iterable[str]) -> str:
    """The hashes of questions as the record has them."""
    return "".join(map(question_hash, texts))


def question_hashes(questions: Embeddings) -> list[str] | list[None]:
    """The hash of each row's text; None for all where none is on record.

    Raises DataError where there are not as many as rows.
    """
    joined = questions.meta.get(FIELD)
    if joined is None:
        return [None] * questions.rows
    if not isinstance(joined, str) or len(joined) != DIGITS * questions.rows:
        problem = f"must be a string of {DIGITS} digits for each of {questions.rows} rows"
        raise DataError(problem, path=questions.path.with_suffix(".json"), field=FIELD, value=joined)
    return [joined[start : start + DIGITS] for start in range(0, len(joined), DIGITS)]
