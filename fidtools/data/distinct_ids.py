"""Ids as keys: what is kept under its id alone must be one thing in the whole file, or texts would be lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fidtools.data.corpus_rows import text_hash
from fidtools.data.files import PathLike
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError, shorten, show_path

QUESTION_HINT = "this format has one question of each id: give each an id of its own, or remove the repetition"
PASSAGE_HINT = "this format has one passage of each id: give each an id of its own, such as that in the corpus"


class _First(NamedTuple):
    """Where an id occurred first, and the hashes of what it stood for."""

    question: str
    location: Location | None
    title: int
    text: int

    def place(self, other: Question) -> str:
        """Its line; of an archive of several files, also the file, where the other question is in another one."""
        if self.location is None:
            return "an earlier question"
        same = other.location is not None and other.location.path == self.location.path
        return f"line {self.location.line}" if same else f"{show_path(self.location.path)}:{self.location.line}"


def _first(question: Question, title: str, text: str) -> _First:
    return _First(question.id, question.location, text_hash(title), text_hash(text))


def distinct_questions(questions: Iterable[Question], hint: str = QUESTION_HINT) -> Iterator[Question]:
    """The questions unchanged. Raises DataError for an id that occurred before. Needs about 250 bytes a question."""
    seen: dict[str, _First] = {}
    for question in questions:
        now = _first(question, "", question.question)
        first = seen.setdefault(question.id, now)
        if first is not now:
            asked = "the same" if first.text == now.text else f"another question than {shorten(question.question)!r}"
            raise question.error(f"also the id of {first.place(question)}, which asks {asked}", "id", question.id, hint)
        yield question


class DistinctPassages:
    """The passages that are written once for all questions. Needs about 250 bytes for an id, whatever its text."""

    def __init__(self, hint: str = PASSAGE_HINT) -> None:
        self._seen: dict[str, _First] = {}
        self._hint = hint

    def is_new(self, passage: Passage, question: Question) -> bool:
        """Whether no earlier passage has this id. Raises DataError where one has it with another title or text."""
        now = _first(question, passage.title, passage.text)
        first = self._seen.setdefault(str(passage.id), now)
        if (first.title, first.text) != (now.title, now.text):
            raise self._conflict(passage, question, first, now)
        return first is now

    def _conflict(self, passage: Passage, question: Question, first: _First, now: _First) -> DataError:
        names = [name for name in ("title", "text") if getattr(first, name) != getattr(now, name)]
        where = f"for question {shorten(first.question)} ({first.place(question)})"
        other = "earlier in its list" if first[:2] == now[:2] else where
        problem = f"passage {shorten(passage.id)} of question {shorten(question.id)} has another {' and '.join(names)}"
        value = getattr(passage, names[-1])
        return question.error(f"{problem} than {other}", f"ctxs.{names[-1]}", value, self._hint)


def require_one_text(question: Question) -> None:
    """Raise DataError where one id has two titles or texts in the list, so that `gold` would name both."""
    if question.repeats_passages:
        known = DistinctPassages()
        for passage in question.ctxs or ():
            if passage.id is not None:
                known.is_new(passage, question)


def distinct_passages(passages: Iterable[Passage], path: PathLike) -> Iterator[Passage]:
    """The passages of the corpus `path`, unchanged. Raises DataError for an id that occurred before."""
    seen: set[int] = set()
    for passage in passages:
        if (key := text_hash(str(passage.id))) in seen:
            hint = "every passage of a corpus needs its own id"
            raise DataError("two passages have this id", path=path, field="id", value=passage.id, hint=hint)
        seen.add(key)
        yield passage
