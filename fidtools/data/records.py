"""The data contract: one line of JSON is one question or one passage.

    {"id": "q17", "question": "…", "answers": ["…"], "target": "…", "doc_id": "story-3",
     "ctxs": [{"id": "p9", "title": "…", "text": "…", "score": 11.2, "scores": {"bm25": 11.2, "attention": 2.31}}],
     "prediction": "…"}

Field names are FiD's and DPR's; `fidtools.data.record_parsing` accepts other spellings, one form is written. Fields not
named here are kept unchanged. A score is never invented: `score` is absent until a tool has ranked the passages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from fidtools.data.files import PathLike
from fidtools.errors import DataError

SCORED_BY = "scored_by"  # the field that says how scores were computed, by their names
PART_OF = "passage_id"  # the field of a part of a passage that names it; without one, its `doc_id` does
PREVIOUS = "previous"  # the name of a score that had none when another tool ranks the passages again
TAKEN = {"score": "the score that passages are sorted by", PREVIOUS: "an earlier score without a name of its own"}
"""Names that no tool may give a score of its own."""


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
    def scored_by(self) -> dict[str, Any]:
        """How scores were computed, by their names, where a tool has recorded it."""
        found = self.extra.get(SCORED_BY)
        return found if isinstance(found, dict) else {}

    @property
    def repeats_passages(self) -> bool:
        """Whether a passage is listed twice, by its id."""
        ids = [passage.id for passage in self.ctxs or () if passage.id is not None]
        return len(set(ids)) < len(ids)

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
        without `score` and without earlier scores of these names: numbers of another model or scale must not stand
        beside these. A `score` that had no name of its own is kept as `scores["previous"]`. What `scored_by` says of
        earlier scores of these names is removed. Raises DataError for a score that is not finite: nothing sorts by it.
        """
        self._refuse_infinite(scores)
        passages, scored = self.ctxs or [], len(scores.get(main, ()))
        for passage in passages:
            if passage.score is not None and passage.score not in passage.scores.values():
                passage.scores[PREVIOUS] = passage.score
            passage.score = None
        for name, values in scores.items():
            for passage in passages:
                passage.scores.pop(name, None)
            for passage, value in zip(passages, values, strict=False):
                passage.scores[name] = value
        for passage in passages[:scored]:
            passage.score = passage.scores[main]
        self.ctxs = sorted(passages[:scored], key=lambda passage: -passage.scores[main]) + passages[scored:]
        if how := {name: record for name, record in self.scored_by.items() if name not in scores}:
            self.extra[SCORED_BY] = how
        elif self.scored_by:
            del self.extra[SCORED_BY]

    def _refuse_infinite(self, scores: dict[str, list[float]]) -> None:
        for name, values in scores.items():
            for place, value in enumerate(values):
                if not math.isfinite(value):
                    hint = "a number overflows in the model: try --precision float32, or another model"
                    raise self.error("the model's score is not finite", f"ctxs[{place}].scores.{name}", value, hint)

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
