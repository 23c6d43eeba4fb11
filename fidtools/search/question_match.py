"""Whether vectors that are on disk are of questions, and of these questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fidtools.data.embeddings import Embeddings
from fidtools.data.question_hashes import FIELD, question_hash, question_hashes
from fidtools.data.records import Question
from fidtools.errors import UsageError, shorten
from fidtools.logs import log


def refuse_passages(parts: Sequence[Embeddings]) -> None:
    """Raise UsageError where vectors that are to be those of questions are of passages, as their record says."""
    for part in parts:
        if part.meta.get("of") == "passages":
            hint = "`fidtools embed --questions` makes vectors of questions"
            raise UsageError(f"{part.path} has vectors of passages, not of questions", hint=hint)


class QuestionTexts:
    """The hashes of the questions that have vectors, by row, where they are on record."""

    def __init__(self, path: Path, parts: Sequence[Embeddings], force: bool) -> None:
        self._path, self._force, self._is_told = path, force, False
        self._hashes = [known for part in parts for known in question_hashes(part)]
        if any(part.meta.get("text_sha256") and FIELD not in part.meta for part in parts):
            log.warning("%s has no hashes of single questions: texts are not compared; embed again for that", path)

    def check(self, row: int, question: Question) -> None:
        """Raise DataError where the vector of a row is of another text; with `force` warn of the first one."""
        if self._hashes[row] in (None, question_hash(question.question)):
            return
        problem = f"{self._path} has the vector of another text under the id {shorten(question.id)}"
        hint = "embed these questions, or give those that were embedded; --force uses the vectors as they are"
        error = question.error(problem, "question", question.question, hint=hint)
        if not self._force:
            raise error
        if not self._is_told:
            log.warning("%s (ignored because of --force; there may be more)", error.message)
        self._is_told = True
