"""TREC's run and relevance files and their relatives, and what trec_eval prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from fidtools.data.files import PathLike
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError
from fidtools.formats import parsing as sources

Hit = tuple[str, Passage]


@dataclass(frozen=True)
class Judgement:
    """How relevant a passage is to a question."""

    question: str
    passage: str
    grade: int


@dataclass(frozen=True)
class Measured:
    """One line of trec_eval's output: a measure's value for a question, or for "all"."""

    measure: str
    question: str
    value: str


def read_run(path: PathLike) -> Iterator[Question]:
    """`qid Q0 docid rank score tag`: ordered as trec_eval does, by falling score, equal scores by falling docid.

    The run's name is the question's `tag`.
    """

    def tagged(cells: list[str], where: Location) -> Hit:
        name, passage = _scored(cells[0], cells[2], cells[4], where)
        passage.extra["tag"] = cells[5]
        return name, passage

    for question in _by_score(_grouped(path, 6, tagged)):
        for passage in question.ctxs or []:
            question.extra["tag"] = passage.extra.pop("tag")
        yield question


def read_tevatron_run(path: PathLike) -> Iterator[Question]:
    """`qid docid score`, by tabs or spaces; ordered as a TREC run."""
    return _by_score(_grouped(path, 3, lambda cells, where: _scored(cells[0], cells[1], cells[2], where)))


def read_msmarco_run(path: PathLike) -> Iterator[Question]:
    """`qid docid rank`: in the order of the ranks; there are no scores, and none are invented."""

    def ranked(cells: list[str], where: Location) -> Hit:
        rank = _whole(cells[2], "rank", where)
        return cells[0], Passage(id=cells[1], text="", extra={"rank": rank})

    for question in _grouped(path, 3, ranked):
        (question.ctxs or []).sort(key=lambda passage: passage.extra["rank"])
        yield question


def _by_score(questions: Iterator[Question]) -> Iterator[Question]:
    for question in questions:
        passages = question.ctxs or []
        passages.sort(key=lambda passage: passage.id or "", reverse=True)
        passages.sort(key=lambda passage: passage.score or 0.0, reverse=True)
        yield question


def _scored(name: str, passage: str, score: str, where: Location) -> Hit:
    try:
        value = float(score)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise where.error("must be a number", "score", score)
    return name, Passage(id=passage, text="", score=value)


def _grouped(path: PathLike, width: int, parse: Callable[[list[str], Location], Hit]) -> Iterator[Question]:
    """A question's hits, which stand together; only one question is held."""
    seen: set[str] = set()
    hits = (parse(cells, where) for cells, where in _cells(path, width))
    for name, group in groupby(hits, key=itemgetter(0)):
        if name in seen:
            hint = "a question's lines must stand together: sort -s -k1,1 FILE"
            raise DataError("its lines are in several places", path=path, field="qid", value=name, hint=hint)
        seen.add(name)
        yield Question(id=name, question="", ctxs=[passage for _, passage in group])


def _cells(path: PathLike, width: int) -> Iterator[tuple[list[str], Location]]:
    for number, line in sources.lines(path):
        where = Location(path, number)
        cells = line.split()
        if len(cells) != width:
            raise where.error(f"expected {width} columns, found {len(cells)}", "line", line)
        yield cells, where


def read_qrels(path: PathLike) -> Iterator[Judgement]:
    """`qid iteration docid grade`, by tabs or spaces."""
    for cells, where in _cells(path, 4):
        yield Judgement(cells[0], cells[2], _whole(cells[3], "grade", where))


BEIR_QRELS = ("query-id", "corpus-id", "score")


def read_beir_qrels(path: PathLike) -> Iterator[Judgement]:
    """BEIR's qrels: `query-id corpus-id score`, tab-separated under a header."""
    for number, row in sources.records(path, "\t", BEIR_QRELS):
        question, passage, grade = (row[name] for name in BEIR_QRELS)
        yield Judgement(question, passage, _whole(grade, "score", Location(path, number)))


def _whole(cell: str, name: str, where: Location) -> int:
    try:
        return int(cell)
    except ValueError as error:
        raise where.error("must be a whole number", name, cell) from error


def read_trec_eval(path: PathLike) -> Iterator[Measured]:
    """The output of trec_eval: `measure qid value`."""
    for cells, _ in _cells(path, 3):
        yield Measured(*cells)


def qrels_by_question(judgements: Iterator[object], path: PathLike) -> dict[str, dict[str, int]]:
    """Grades by passage id by question id."""
    grades: dict[str, dict[str, int]] = {}
    for judgement in judgements:
        if not isinstance(judgement, Judgement):
            raise DataError("no relevance judgements in it", path=path, hint="fidtools convert --sniff FILE names it")
        grades.setdefault(judgement.question, {})[judgement.passage] = judgement.grade
    return grades
