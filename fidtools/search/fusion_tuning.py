"""Choose how to fuse rankings on questions whose answers or gold passages are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidtools.data.files import PathLike
from fidtools.data.grades import gold_ids
from fidtools.data.jsonl import read_json
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError
from fidtools.metrics.answer_match import usable
from fidtools.metrics.labels import Labels
from fidtools.metrics.relevance import relevance
from fidtools.search.rank_fusion import METHODS, RANK_CONSTANT, Method, contributions, in_step
from fidtools.typing import Floats

STEPS = 20
"""A list's share of the weights is tried in steps of 1 / STEPS, from 0 to 1."""
MOST_ROUNDS = 10
MOST_WEIGHT = 1e9  # as of --weight
DEPTHS = (1, 5)
HINT: dict[Labels, str] = {
    "gold": "are the ids of `gold` those of the rankings' passages? --labels answer judges by their text",
    "answer": "do the rankings' passages have their text? --labels gold judges by their ids",
}


@dataclass(frozen=True)
class Fusion:
    """How to fuse: the method, its constant and one weight per list, in order, which sum to 1."""

    method: Method
    weights: tuple[float, ...]
    constant: int = RANK_CONSTANT


@dataclass(frozen=True)
class Tuned:
    """The best fusion and its figures on the questions it was chosen on, in percent."""

    fusion: Fusion
    labels: Labels
    questions: int
    recall: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """All of it on one level."""
        return asdict(self.fusion) | {"labels": self.labels, "questions": self.questions} | self.recall


@dataclass(frozen=True)
class _Judged:
    """One question: what every list adds to its passages (lists, passages), and which are relevant (passages,)."""

    values: Floats
    relevant: NDArray[np.bool_]


def tune(
    paths: Sequence[PathLike],
    questions: PathLike,
    *,
    labels: Labels | None = None,
    methods: Sequence[Method] = METHODS,
    constant: int = RANK_CONSTANT,
) -> Tuned:
    """The method and weights with the highest mean of R@1 and R@5; between equal ones, with the highest MRR.

    `questions` holds the questions of the rankings in the same order, with `answers` or `gold`; those without are left
    out. `labels` None means gold where any question has it. Weights are found by coordinate search from equal ones: one
    list's share at a time runs from 0 to 1 in steps of 1 / `STEPS`, the others keeping their proportions, until nothing
    improves. With two lists that is every pair of shares. A method that needs scores is passed over where a list has
    none. The result depends on nothing but the files. Raises DataError where no question can be judged, or none has a
    relevant passage in any list: all weights would be as good.
    """
    groups = list(in_step([questions, *paths]))
    kind = labels or ("gold" if any(gold_ids(group[0]) for group in groups) else "answer")
    best: tuple[tuple[float, float], Fusion, list[_Judged]] | None = None
    for method in methods:
        if method != "rrf" and len(methods) > 1 and not _all_scored(groups):
            continue
        judged = list(_judged(groups, paths, kind, method, constant))
        if not judged:
            field = "gold" if kind == "gold" else "answers"
            raise DataError(f"no question has passages and `{field}` to judge them by", path=questions, field=field)
        if not any(item.relevant.any() for item in judged):
            raise DataError(
                f"no relevant passage, by {kind}, is listed for any question", path=questions, hint=HINT[kind]
            )
        weights, value = _search(judged, len(paths))
        if best is None or value > best[0]:
            best = value, Fusion(method, weights, constant), judged
    assert best is not None, "rrf needs no scores"
    _, fusion, judged = best
    ranks = _ranks(judged, fusion.weights)
    recall = {f"R@{k}": 100 * float(np.mean(ranks <= k)) for k in DEPTHS}
    return Tuned(fusion, kind, len(judged), recall)


def _all_scored(groups: Sequence[Sequence[Question]]) -> bool:
    return all(p.score is not None for group in groups for question in group[1:] for p in question.ctxs or [])


def _judged(
    groups: Sequence[Sequence[Question]], paths: Sequence[PathLike], labels: Labels, method: Method, constant: int
) -> Iterator[_Judged]:
    for number, (question, *lists) in enumerate(groups, 1):
        if not (gold_ids(question) if labels == "gold" else usable(question.answers or ())):
            continue
        passages: dict[str | None, tuple[int, Passage]] = {}
        added: list[tuple[int, int, float]] = []
        for row, (ranking, path) in enumerate(zip(lists, paths, strict=True)):
            for passage, value in contributions(ranking, Location(path, number), method, constant):
                column, _ = passages.setdefault(passage.id, (len(passages), passage))
                added.append((row, column, value))
        if passages:
            values = np.zeros((len(lists), len(passages)))
            for row, column, value in added:
                values[row, column] += value
            own = replace(question, ctxs=[passage for _, passage in passages.values()])
            yield _Judged(values, relevance(own, labels))


def _search(judged: Sequence[_Judged], n: int) -> tuple[tuple[float, ...], tuple[float, float]]:
    """The best weights of n lists, and their value."""
    weights = (1 / n,) * n
    value = _value(judged, weights)
    for _ in range(MOST_ROUNDS):
        before = value
        for place in range(n):
            # the shares closest to the present one first, so that of equal ones it is the least change that wins
            for share in sorted((step / STEPS for step in range(STEPS + 1)), key=lambda s: abs(s - weights[place])):
                tried = _with_share(weights, place, share)
                if (found := _value(judged, tried)) > value:
                    weights, value = tried, found
        if value == before:
            break
    return weights, value


def _with_share(weights: tuple[float, ...], place: int, share: float) -> tuple[float, ...]:
    """Weights that sum to 1, one of them `share` and the others in the proportions they had."""
    others = 1 - weights[place]
    rest = [weight / others if others > 1e-9 else 1 / (len(weights) - 1) for weight in weights]
    return tuple(round(share if i == place else (1 - share) * rest[i], 6) for i in range(len(weights)))


def _value(judged: Sequence[_Judged], weights: Sequence[float]) -> tuple[float, float]:
    """The mean of R@1 and R@5, and MRR."""
    ranks = _ranks(judged, weights)
    return float(np.mean([np.mean(ranks <= k) for k in DEPTHS])), float(np.mean(1 / ranks))


def _ranks(judged: Sequence[_Judged], weights: Sequence[float]) -> Floats:
    """The rank of each question's first relevant passage, (questions,); infinite without one."""
    return np.array([_first_rank(item, weights) for item in judged])


def _first_rank(item: _Judged, weights: Sequence[float]) -> float:
    sums = sum(weight * row for weight, row in zip(weights, item.values, strict=True))  # added as `fuse` adds
    hits = item.relevant[np.argsort(-sums, kind="stable")]
    return float(hits.argmax() + 1) if hits.any() else float("inf")


def read_fusion(path: PathLike) -> Fusion:
    """The fusion in a file that `fuse --tune` wrote. Raises DataError for anything else."""
    found = [value for _, value in read_json(path)]
    if len(found) != 1 or found[0].keys() < {"method", "weights", "constant"}:
        raise DataError("no result of fuse --tune", path=path)
    method, weights, constant = (found[0][name] for name in ("method", "weights", "constant"))
    for field, value, valid in (
        ("method", method, method in METHODS),
        ("weights", weights, isinstance(weights, list) and all(_is_weight(weight) for weight in weights)),
        ("constant", constant, type(constant) is int and constant >= 0),
    ):
        if not valid:
            raise DataError("no result of fuse --tune", path=path, field=field, value=value)
    return Fusion(method, tuple(weights), constant)


def _is_weight(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= MOST_WEIGHT
