"""The data contract: one line of JSON is one question or one passage.

    {"id": "q17", "question": "…", "answers": ["…"], "target": "…", "doc_id": "story-3",
     "ctxs": [{"id": "p9", "title": "…", "text": "…", "score": 11.2, "scores": {"bm25": 11.2, "attention": 2.31}}],
     "prediction": "…"}

Field names are FiD's and DPR's; the other spellings below are read, one form is written. Fields not named here pass
through untouched. A score is never invented: `score` is absent until a tool has ranked the passages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fidtools.data.files import PathLike
from fidtools.errors import DataError

CTXS = ("ctxs", "contexts", "context", "passages")
ANSWERS = ("answers", "answer", "golden_answers", "ground_truth", "possible_answers")
PASSAGE_ID = ("id", "docid", "passage_id", "_id", "pid")
TEXT = ("text", "contents", "content")
QUESTION = ("question", "query", "claim", "input")
PREVIOUS = "previous"


@dataclass(slots=True)
class Location:
    """The file and line a record was read from, for error messages."""

    path: PathLike
    line: int

    def error(self, problem: str, name: str, value: object = None, hint: str | None = None) -> DataError:
        """A DataError about field `name` of this record."""
        return DataError(problem, path=self.path, line=self.line, field=name, value=value, hint=hint)


@dataclass(slots=True)
class Passage:
    """A passage of the corpus, or one retrieved for a question (then with scores)."""

    id: str | None
    text: str
    title: str = ""
    doc_id: str | None = None
    score: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The passage as written to a file; absent fields are left out."""
        return (
            _present(id=self.id, title=self.title, text=self.text, doc_id=self.doc_id, score=self.score)
            | ({"scores": self.scores} if self.scores else {})
            | self.extra
        )

    def set_score(self, name: str, value: float) -> None:
        """Record `value` under `name` and make it the score that the list is sorted by."""
        self.score = self.scores[name] = float(value)


@dataclass(slots=True)
class Question:
    """A question, with its answers when they are known and its passages when they have been retrieved."""

    id: str
    question: str
    answers: list[str] | None = None
    target: str | None = None
    doc_id: str | None = None
    ctxs: list[Passage] | None = None
    prediction: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    location: Location | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The question as written to a file; absent fields are left out."""
        head = _present(
            id=self.id, question=self.question, answers=self.answers, target=self.target, doc_id=self.doc_id
        )
        ctxs = {} if self.ctxs is None else {"ctxs": [p.to_json() for p in self.ctxs]}
        return head | ctxs | _present(prediction=self.prediction) | self.extra

    @property
    def gold_answers(self) -> list[str]:
        """The accepted answers: `answers`, else `target`; none for an unlabelled question."""
        return self.answers or ([] if self.target is None else [self.target])

    def gold_answer(self) -> str:
        """The answer to be learned or scored: `target`, else the first of `answers`. Raises DataError without one."""
        if not self.gold_answers:
            raise self.error("question without answer", "answers", self.id)
        return self.target or self.gold_answers[0]

    def require_ctxs(self) -> list[Passage]:
        """The passages, possibly none. Raises DataError when the question has no `ctxs` field."""
        if self.ctxs is None:
            hint = "rank passages first: fidtools bm25, or fidtools retrieve"
            raise self.error("question without passages", "ctxs", self.id, hint)
        return self.ctxs

    def sort_ctxs(self) -> None:
        """Order the passages by descending score; ties keep their order. Every passage must have a score."""
        if self.ctxs is not None:
            self.ctxs.sort(key=lambda passage: -passage.score)  # type: ignore[operator]

    def set_scores(self, scores: dict[str, list[float]], main: str) -> None:
        """Record named scores of the first passages, in their order, and sort those by the score `main`, descending.

        Each passage gets `scores[name]`, and `score` is `main`. Passages beyond the scored ones follow in their order
        without `score`, since a number of another scale must not stand beside these. A `score` that had no name of its
        own is kept as `scores["previous"]`.
        """
        passages, scored = self.ctxs or [], len(scores.get(main, ()))
        for passage in passages:
            if passage.score is not None and passage.score not in passage.scores.values():
                passage.scores[PREVIOUS] = passage.score
            passage.score = None
        for name, values in scores.items():
            for passage, value in zip(passages, values, strict=False):
                passage.scores[name] = value
        for passage in passages[:scored]:
            passage.score = passage.scores[main]
        self.ctxs = sorted(passages[:scored], key=lambda passage: -passage.scores[main]) + passages[scored:]

    def rank_by(self, name: str) -> None:
        """Sort the passages by the score of that name, descending; "score" is the one that files are sorted by.

        Raises DataError when a passage has no such score.
        """
        for passage in self.ctxs or ():
            value = passage.score if name == "score" else passage.scores.get(name)
            if value is None:
                known = ", ".join(["score", *passage.scores])
                problem = f"a passage of question {self.id} has no such score"
                raise self.error(problem, f"scores.{name}", hint=f"this one has {known}")
            passage.score = value
        self.sort_ctxs()

    def error(self, problem: str, name: str, value: object = None, hint: str | None = None) -> DataError:
        """A DataError about field `name` of this question, with its file and line where they are known."""
        if self.location is None:
            return DataError(problem, field=name, value=value, hint=hint)
        return self.location.error(problem, name, value, hint)


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def parse_question(record: dict[str, Any], where: Location) -> Question:
    """A Question from one JSON object. The id falls back to the line number, from 0 as in FiD's files.

    Raises DataError when the question is missing or a field has the wrong type.
    """
    rest = dict(record)
    _, text = _take(rest, QUESTION)
    if not isinstance(text, str) or not text.strip():
        problem = "missing" if text is None else "must be a text that is not empty"
        raise where.error(problem, "question", text, hint=f"fields here: {', '.join(record)}"[:200])
    ctxs = _take(rest, CTXS)
    return Question(
        id=_identifier(_take(rest, ("id", "_id", "qid", "question_id")), where) or str(where.line - 1),
        question=text,
        answers=_answers(_take(rest, ANSWERS), where),
        target=_optional_text(rest, "target", where),
        doc_id=_identifier(("doc_id", rest.pop("doc_id", None)), where),
        ctxs=None if ctxs[1] is None else _passages(*ctxs, where),
        prediction=_optional_text(rest, "prediction", where),
        extra=rest,
        location=where,
    )


def parse_passage(record: dict[str, Any], where: Location, prefix: str = "") -> Passage:
    """A Passage from one JSON object (`prefix` names its place inside a question for messages)."""
    rest = dict(record)
    name, text = _take(rest, TEXT)
    if not isinstance(text, str):
        raise where.error("missing" if text is None else "must be a text", f"{prefix}text", text)
    title = rest.pop("title", None)
    if name == "contents" and title is None:  # Pyserini and FlashRAG: title, line break, text
        title, _, text = text.rpartition("\n") if text.count("\n") == 1 else ("", "", text)
    if not isinstance(title, str | None):
        raise where.error("must be a text", f"{prefix}title", title)
    scores = rest.pop("scores", None) or {}
    if not isinstance(scores, dict):
        raise where.error("must be an object of numbers", f"{prefix}scores", scores)
    return Passage(
        id=_identifier(_take(rest, PASSAGE_ID), where, prefix),
        text=text,
        title=title or "",
        doc_id=_identifier(("doc_id", rest.pop("doc_id", None)), where, prefix),
        score=_number(rest.pop("score", None), f"{prefix}score", where),
        scores={k: _required_number(v, f"{prefix}scores.{k}", where) for k, v in scores.items()},
        extra=rest,
    )


def _take(rest: dict[str, Any], names: Iterable[str]) -> tuple[str, Any]:
    """Remove and return the first of `names` that is there and not null, with the name it had."""
    for name in names:
        if rest.get(name) is not None:
            return name, rest.pop(name)
    return next(iter(names)), None


def _identifier(named: tuple[str, Any], where: Location, prefix: str = "") -> str | None:
    name, value = named
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise where.error("must be a text or a whole number", prefix + name, value)


def _optional_text(rest: dict[str, Any], name: str, where: Location) -> str | None:
    value = rest.pop(name, None)
    if not isinstance(value, str | None):
        raise where.error("must be a text", name, value)
    return value


def _answers(named: tuple[str, Any], where: Location) -> list[str] | None:
    name, value = named
    if isinstance(value, str):
        return [value]
    if value is not None and not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
        raise where.error("must be a list of texts", name, value)
    return value


def _passages(name: str, value: Any, where: Location) -> list[Passage]:
    if not isinstance(value, list):
        raise where.error("must be a list of passages", name, value)
    found = []
    for position, item in enumerate(value):
        if not isinstance(item, dict):
            raise where.error("must be a list of objects", f"{name}[{position}]", item)
        found.append(parse_passage(item, where, f"{name}[{position}]."))
    return found


def _number(value: Any, name: str, where: Location) -> float | None:
    return None if value is None else _required_number(value, name, where)


def _required_number(value: Any, name: str, where: Location) -> float:
    """Scores are written as strings by FiD and DPR. NaN is refused: it has no place in a ranking."""
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if math.isnan(number):
        raise where.error("must be a number", name, value)
    return number
