"""Fuse several rankings of the same questions into one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from statistics import pstdev
from typing import Literal, get_args

from fidtools.data.files import PathLike
from fidtools.data.read import read_questions
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import MismatchError

Method = Literal["rrf", "scores", "zscores"]
METHODS: tuple[Method, ...] = get_args(Method)
RANK_CONSTANT = 60  # from Cormack, Clarke and Büttcher (2009)
SAME_QUESTIONS = "the files must hold the same questions in the same order"


def fuse(
    paths: Sequence[PathLike],
    k: int,
    *,
    method: Method = "rrf",
    weights: Sequence[float] | None = None,
    constant: int = RANK_CONSTANT,
) -> Iterator[Question]:
    """Each question with the `k` best passages of all its lists, scored as `fused`; the files are read in parallel.

    `rrf`: the sum of weight / (constant + rank), rank from 1. `scores`: the sum of weight · score, the scores of each
    list min-max normalised to 0 … 1 (1 when they are all equal). `zscores`: likewise, but divided by their standard
    deviation: z-scores above the list's lowest one (0 when they are all equal). A list adds nothing to a passage that
    it does not contain. Passages with equal sums stay in the order in which they were read. All other fields come from
    the first file. Raises MismatchError where the files do not hold the same questions, or a list cannot be fused.
    """
    for number, group in enumerate(in_step(paths), 1):
        origins = [Location(path, number) for path in paths]
        yield fuse_rankings(group, k, method=method, weights=weights, constant=constant, origins=origins)


def fuse_rankings(
    rankings: Sequence[Question],
    k: int,
    *,
    method: Method = "rrf",
    weights: Sequence[float] | None = None,
    constant: int = RANK_CONSTANT,
    origins: Sequence[Location | None] | None = None,
) -> Question:
    """The first of several rankings of one question, with the `k` best passages of all of them: see `fuse`.

    `origins` are where the rankings were read from, for messages. Raises MismatchError for a list that cannot be fused.
    """
    places = origins or [None] * len(rankings)
    lists = [contributions(question, place, method, constant) for question, place in zip(rankings, places, strict=True)]
    return _fused(rankings[0], lists, weights or [1.0] * len(rankings), k)


def in_step(paths: Sequence[PathLike]) -> Iterator[tuple[Question, ...]]:
    """The questions at the same position in every file.

    Raises MismatchError where they are not the same, by their ids or, under the same id, by their texts.
    """
    for group in zip_longest(*(read_questions(path) for path in paths)):
        for path, question in zip(paths, group, strict=True):
            if question is None:
                raise MismatchError("ends before the other files", path=path, hint=SAME_QUESTIONS)
            if group[0] is not None and question.id != group[0].id:
                problem = f"question {question.id} where {paths[0]} has {group[0].id}"
                raise MismatchError(problem, path=path, hint=SAME_QUESTIONS)
            if group[0] is not None and question.question.strip() != group[0].question.strip():
                problem = f"question {question.id} has another text in {paths[0]}"
                raise MismatchError(problem, path=path, value=question.question, hint=SAME_QUESTIONS)
        yield group


def contributions(
    question: Question, origin: Location | None, method: Method, constant: int
) -> Iterable[tuple[Passage, float]]:
    """The passages of one list, each with what it adds to its sum before weighting; `origin` is for messages.

    Raises MismatchError for a passage without id, or without the score that the method needs.
    """
    ctxs = question.ctxs or []
    if any(passage.id is None for passage in ctxs):
        raise _unusable("a passage without id cannot be fused", origin)
    first = {passage.id: position for position, passage in reversed([*enumerate(ctxs)])}
    if method == "rrf":
        return ((ctxs[position], 1 / (constant + position + 1)) for position in sorted(first.values()))
    scores = [passage.score for passage in ctxs if passage.score is not None]
    if len(scores) < len(ctxs):
        raise _unusable("a passage without score", origin, hint="--method rrf needs no scores")
    low = min(scores, default=0.0)
    if method == "zscores":
        width, equal = pstdev(scores) if scores else 0.0, 0.0
    else:
        width, equal = max(scores, default=0.0) - low, 1.0
    return ((ctxs[at], (scores[at] - low) / width if width else equal) for at in sorted(first.values()))


def _unusable(problem: str, origin: Location | None, hint: str | None = None) -> MismatchError:
    path, line = (None, None) if origin is None else (origin.path, origin.line)
    return MismatchError(problem, path=path, line=line, field="ctxs", hint=hint)


def _fused(
    question: Question, lists: Sequence[Iterable[tuple[Passage, float]]], weights: Sequence[float], k: int
) -> Question:
    """The passages of all lists by descending sum; a passage keeps the scores of all lists."""
    passages: dict[str | None, Passage] = {}
    sums: dict[str | None, float] = {}
    for contributions, weight in zip(lists, weights, strict=True):
        for passage, value in contributions:
            known = passages.setdefault(passage.id, passage)
            known.scores = passage.scores | known.scores
            sums[passage.id] = sums.get(passage.id, 0.0) + weight * value
    question.ctxs = sorted(passages.values(), key=lambda passage: -sums[passage.id])[:k]
    for passage in question.ctxs:
        passage.set_score("fused", sums[passage.id])
    return question
