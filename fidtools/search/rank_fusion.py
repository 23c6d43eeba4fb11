"""Fuse several rankings of the same questions into one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from math import isclose
from statistics import pstdev
from typing import Any, Literal, get_args

from fidtools.data.files import PathLike
from fidtools.data.ranking import without_answers
from fidtools.data.read import read_questions
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import MismatchError, show_path
from fidtools.logs import log

Method = Literal["rrf", "scores", "zscores"]
METHODS: tuple[Method, ...] = get_args(Method)
RANK_CONSTANT = 60  # from Cormack, Clarke and Büttcher (2009)
LARGE = 1e300  # scores above it are scaled down first, since the difference of two could be infinite
FUSED = "fused"  # the name of the sum
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
    the first file, without predictions, which were made from its list alone. Warns of named scores that cannot be kept
    for all passages (`drop_mixed_scores`). Raises MismatchError where the files do not hold the same questions, or a
    list cannot be fused.
    """
    return without_answers(_fused_groups(paths, k, method=method, weights=weights, constant=constant))


def _fused_groups(paths: Sequence[PathLike], k: int, **how: Any) -> Iterator[Question]:
    mixed: Counter[str] = Counter()
    passages = [0] * len(paths)
    for number, group in enumerate(in_step(paths), 1):
        passages = [total + len(question.ctxs or ()) for total, question in zip(passages, group, strict=True)]
        mixed.update(drop_mixed_scores(group))
        yield fuse_rankings(group, k, **how, origins=[Location(path, number) for path in paths])
    for name, count in mixed.items():
        message = "`scores.%s` is not the same score in all files: the first file's is kept (in %d questions)"
        log.warning(message, name, count)
    for path, total in zip(paths, passages, strict=True):
        if not total:
            log.warning("%s: its questions have no passages, so it adds nothing", show_path(path))


def drop_mixed_scores(rankings: Sequence[Question]) -> list[str]:
    """Remove scores whose name means different things in two lists from all lists but the first; returns the names.

    A name means the same where several lists score the same passages and agree on each. Where they do not agree, or
    have no passage in common, the scores may be of two models, and one list must not hold both.
    """
    names = Counter(name for q in rankings for name in {name for p in q.ctxs or () for name in p.scores})
    mixed = [name for name, lists in names.items() if lists > 1 and name != FUSED and not _agree(name, rankings)]
    for name in mixed:
        first = next(q for q in rankings if any(name in p.scores for p in q.ctxs or ()))
        for passage in (p for q in rankings if q is not first for p in q.ctxs or ()):
            passage.scores.pop(name, None)
    return mixed


def _agree(name: str, rankings: Sequence[Question]) -> bool:
    values: dict[str | None, list[float]] = {}
    for passage in (passage for question in rankings for passage in question.ctxs or ()):
        if name in passage.scores:
            values.setdefault(passage.id, []).append(passage.scores[name])
    shared = [found for found in values.values() if len(found) > 1]
    return bool(shared) and all(isclose(v, found[0], rel_tol=1e-4, abs_tol=1e-6) for found in shared for v in found)


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

    Raises MismatchError where they are not the same, by their ids or, under the same id, by their texts; likewise for
    their passages.
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
        _share_texts(paths, group)
        yield group


def _share_texts(paths: Sequence[PathLike], group: Sequence[Question]) -> None:
    """Give a passage without text that of another list. Raises MismatchError for two texts, white space aside."""
    seen: dict[str, tuple[Passage, PathLike]] = {}
    for path, question in zip(paths, group, strict=True):
        for passage in question.ctxs or ():
            if passage.id is None or not passage.text:
                continue
            known, where = seen.setdefault(passage.id, (passage, path))
            if known.text != passage.text and known.text.split() != passage.text.split():
                problem = f"passage {passage.id} of question {question.id} has another text in {where}"
                hint = "the rankings must be of one corpus, in which every passage has an id of its own"
                raise MismatchError(problem, path=path, field="ctxs.text", value=passage.text, hint=hint)
    for passage in (passage for question in group for passage in question.ctxs or () if not passage.text):
        if passage.id in seen:
            known, _ = seen[passage.id]
            passage.text, passage.title = known.text, passage.title or known.title


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
    if (largest := max(map(abs, scores), default=0.0)) > LARGE:
        scores = [score / largest for score in scores]
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
        passage.set_score(FUSED, sums[passage.id])
    return question
