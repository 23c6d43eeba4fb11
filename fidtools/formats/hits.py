"""The lines of a ranking in plain columns, gathered into questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

from fidtools.data.files import PathLike
from fidtools.data.pipes import seekable
from fidtools.data.records import Location, Passage, Question
from fidtools.formats.parsing import read_columns

TREC_COLUMNS = 6  # and any number more, as trec_eval has it


class Hit(NamedTuple):
    """One line of a run: a passage ranked for a question."""

    question: str
    passage: Passage
    where: Location


def hits_by_question(path: PathLike, width: int, parse: Callable[[list[str], Location], Hit]) -> Iterator[Question]:
    """The hits of a file, see `gathered`."""
    file = seekable(path)
    hits = (parse(cells, Location(path, where.line)) for cells, where in _lines(file, width))
    return gathered((cells[0] for cells, _ in _lines(file, width)), hits)


def gathered(names: Iterable[str], hits: Iterable[Hit]) -> Iterator[Question]:
    """The hits of each question as a Question, in the order in which the questions begin; `names` are their ids.

    Only one question is held in memory where its lines follow each other, which a first pass, over `names`, finds out.
    """
    groups: Iterable[tuple[str, Iterable[Hit]]] = groupby(hits, key=lambda hit: hit.question)
    if _is_interleaved(names):
        by_name: dict[str, list[Hit]] = {}
        for hit in hits:
            by_name.setdefault(hit.question, []).append(hit)
        groups = by_name.items()
    for name, group in groups:
        ranking = list(group)
        yield Question(id=name, question="", ctxs=[hit.passage for hit in ranking], location=ranking[0].where)


def _lines(path: PathLike, width: int) -> Iterator[tuple[list[str], Location]]:
    return read_columns(path, width, or_more=width == TREC_COLUMNS)


def _is_interleaved(names: Iterable[str]) -> bool:
    """Whether equal names are not all next to each other."""
    seen: set[str] = set()
    for name, _ in groupby(names):
        if name in seen:
            return True
        seen.add(name)
    return False


def by_rank(questions: Iterator[Question], hint: str) -> Iterator[Question]:
    """The questions with their passages by ascending rank. Raises DataError where a question has one rank twice."""
    for question in questions:
        passages = question.ctxs or []
        passages.sort(key=lambda passage: passage.extra["rank"])
        for before, passage in pairwise(passages):
            if before.extra["rank"] == passage.extra["rank"]:
                problem = f"question {question.id} has this rank twice"
                raise question.error(problem, "rank", passage.extra["rank"], hint)
        yield question


def by_score(questions: Iterator[Question]) -> Iterator[Question]:
    """The questions with their passages by descending score, equal scores by descending id, as trec_eval has it."""
    for question in questions:
        passages = question.ctxs or []
        passages.sort(key=lambda passage: passage.id or "", reverse=True)
        passages.sort(key=lambda passage: passage.score or 0.0, reverse=True)
        yield question
