"""Relevance judgements (qrels) of TREC and BEIR, and the output of trec_eval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from fidtools.data.distinct_ids import distinct_questions
from fidtools.data.files import PathLike, open_output
from fidtools.data.grades import Grades, gold_grades
from fidtools.data.records import Location, Question
from fidtools.errors import DataError
from fidtools.formats.detection import columns, header, is_number
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.parsing import read_columns, read_records, require_integer
from fidtools.formats.writer_helpers import is_one_word, write_rows
from fidtools.logs import log

BEIR_QRELS = ("query-id", "corpus-id", "score")
TREC_EVAL_SUMMARY = {"runid", "num_q", "num_ret", "num_rel", "map"}


@dataclass(frozen=True)
class Judgement:
    """How relevant a passage is to a question."""

    question: str
    passage: str
    grade: int


@dataclass(frozen=True)
class MeasureValue:
    """One line of trec_eval's output: a measure's value for a question, or for "all"."""

    measure: str
    question: str
    value: str


def read_qrels(path: PathLike) -> Iterator[Judgement]:
    """`qid iteration docid grade`, separated by tabs or spaces; further columns are ignored."""
    lines = read_columns(path, 4, or_more=True)
    yield from _of_one_grade((cells[0], cells[2], cells[3], "grade", where) for cells, where in lines)


def write_qrels(judgements: Iterable[Judgement], path: PathLike) -> None:
    """TREC's qrels: `qid 0 docid grade`. Raises DataError for an id with white space."""
    with open_output(path) as out:
        for judgement in judgements:
            for name, text in (("qid", judgement.question), ("docid", judgement.passage)):
                if not is_one_word(text):
                    raise DataError("must be one word in this format", field=name, value=text)
            out.write(f"{judgement.question} 0 {judgement.passage} {judgement.grade}\n".encode())


def read_beir_qrels(path: PathLike) -> Iterator[Judgement]:
    """BEIR's qrels: `query-id corpus-id score`, tab-separated under a header."""
    question, passage, grade = BEIR_QRELS
    rows = read_records(path, "\t", BEIR_QRELS)
    yield from _of_one_grade((row[question], row[passage], row[grade], grade, Location(path, n)) for n, row in rows)


def _of_one_grade(rows: Iterable[tuple[str, str, str, str, Location]]) -> Iterator[Judgement]:
    """Judgements from question, passage, grade, the name of its column, and place. Raises DataError for two grades."""
    grades: dict[tuple[str, str], int] = {}
    for question, passage, cell, name, where in rows:
        grade = require_integer(cell, name, where)
        before = grades.setdefault((question, passage), grade)
        if before != grade:
            problem = f"passage {passage} has two grades for question {question}"
            raise where.error(problem, name, f"{before} and {grade}")
        yield Judgement(question, passage, grade)


def write_beir_qrels(judgements: Iterable[Judgement], path: PathLike) -> None:
    """BEIR's qrels: `query-id corpus-id score` under a header."""
    rows = ((j.question, j.passage, str(j.grade)) for j in judgements)
    with open_output(path) as out:
        write_rows(chain([BEIR_QRELS], rows), out)


def judgements_of(questions: Iterable[Question]) -> Iterator[Judgement]:
    """The judgements in the field `gold` of questions; warns when there are none.

    Raises DataError as `judged` does, and for a question id that occurs twice.
    """
    found = False
    for question in distinct_questions(questions):
        for judgement in judged(question):
            found = True
            yield judgement
    if not found:
        log.warning("no question has `gold`: there is no judgement to write")


def judged(question: Question) -> Iterator[Judgement]:
    """The judgements in a question's field `gold`. Raises DataError for a grade that is not an integer."""
    for passage, grade in (gold_grades(question) or {}).items():
        if not isinstance(grade, int):
            raise question.error("qrels hold integer grades", f"gold.{passage}", grade)
        yield Judgement(question.id, passage, grade)


def qrels_by_question(judgements: Iterable[object], path: PathLike) -> dict[str, Grades]:
    """Grades by passage id by question id. Raises DataError when the records of `path` are no judgements."""
    grades: dict[str, Grades] = {}
    for judgement in judgements:
        if not isinstance(judgement, Judgement):
            raise DataError("contains no relevance judgements", path=path, hint="fidtools convert --sniff FILE")
        grades.setdefault(judgement.question, {})[judgement.passage] = judgement.grade
    return grades


def read_trec_eval(path: PathLike) -> Iterator[MeasureValue]:
    """The output of trec_eval: `measure qid value`."""
    for cells, _ in read_columns(path, 3):
        yield MeasureValue(*cells)


def _is_judged(row: list[str]) -> bool:
    """Whether the fourth column is a grade. In a run it is a rank, after "Q0" and before a score."""
    is_run = len(row) > 4 and (is_number(row[4]) or row[1].upper() == "Q0")
    return is_number(row[3]) and not is_run


def _is_trec_eval(head: Head) -> bool:
    """Three columns, the first of which begins with one of trec_eval's summary measures."""
    return columns(3, lambda row: True)(head) and head.lines[0].split()[0] in TREC_EVAL_SUMMARY


FORMATS = (
    Format(
        "beir-qrels",
        "qrels",
        "BEIR's qrels",
        detect=header(*BEIR_QRELS, separator="\t"),
        read=read_beir_qrels,
        write=write_beir_qrels,
    ),
    Format(
        "trec-qrels",
        "qrels",
        "TREC's qrels",
        detect=columns(4, _is_judged, or_more=True),
        read=read_qrels,
        write=write_qrels,
    ),
    Format("trec-eval", "measures", "trec_eval's output", detect=_is_trec_eval, read=read_trec_eval),
)
