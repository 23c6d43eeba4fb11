"""Rankings in plain columns: TREC's runs, and those of Tevatron and MS MARCO."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from fidtools.data.files import PathLike, open_output
from fidtools.data.number_text import number_of
from fidtools.data.records import Location, Passage, Question
from fidtools.formats.detection import columns, is_number
from fidtools.formats.format import Format
from fidtools.formats.hits import TREC_COLUMNS, Hit, by_rank, by_score, hits_by_question
from fidtools.formats.parsing import require_integer
from fidtools.formats.run_lines import one_word, run_lines
from fidtools.formats.run_signs import is_colbert, is_msmarco

RUN_FIELDS = frozenset({"id", "ctxs.id", "ctxs.score"})


def read_run(path: PathLike) -> Iterator[Question]:
    """`qid Q0 docid rank score tag`, in trec_eval's order: descending score, equal scores by descending docid.

    The run's tag is the question's `tag`. As in trec_eval, further columns are ignored, and the lines of a question
    need not follow each other.
    """

    def tagged(cells: list[str], where: Location) -> Hit:
        hit = _scored_hit(cells[0], cells[2], cells[4], where)
        hit.passage.extra["tag"] = cells[5]
        return hit

    for question in by_score(hits_by_question(path, TREC_COLUMNS, tagged)):
        for passage in question.ctxs or []:
            question.extra["tag"] = passage.extra.pop("tag")
        yield question


def read_tevatron_run(path: PathLike) -> Iterator[Question]:
    """`qid docid score`, separated by tabs or spaces; in the order of a TREC run."""
    return by_score(hits_by_question(path, 3, lambda cells, where: _scored_hit(cells[0], cells[1], cells[2], where)))


def read_msmarco_run(path: PathLike) -> Iterator[Question]:
    """`qid docid rank`, in the order of the ranks; there are no scores, and none are invented.

    Raises DataError where a question has one rank twice: then the numbers are scores.
    """

    def ranked(cells: list[str], where: Location) -> Hit:
        rank = require_integer(cells[2], "rank", where)
        return Hit(cells[0], Passage(id=cells[1], text="", extra={"rank": rank}), where)

    return by_rank(hits_by_question(path, 3, ranked), "if the last column is a score: --from tevatron-run")


def read_colbert_run(path: PathLike) -> Iterator[Question]:
    """`qid pid rank score`, as ColBERT saves a ranking; in the order of the ranks. A pid is a line of its collection.

    Raises DataError where a question has one rank twice.
    """

    def ranked(cells: list[str], where: Location) -> Hit:
        hit = _scored_hit(cells[0], cells[1], cells[3], where)
        hit.passage.extra["rank"] = require_integer(cells[2], "rank", where)
        return hit

    for question in by_rank(hits_by_question(path, 4, ranked), "the columns are qid, pid, rank, score"):
        for passage in question.ctxs or []:
            del passage.extra["rank"]
        yield question


def _scored_hit(question: str, passage: str, score: str, where: Location) -> Hit:
    try:
        value = number_of(score)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise where.error("must be a number", "score", score)
    return Hit(question, Passage(id=passage, text="", score=value), where)


def write_run(questions: Iterable[Question], path: PathLike) -> None:
    """A TREC run: `qid Q0 docid rank score tag`, see `run_lines`; the tag is the question's `tag`, or "fidtools".

    Raises DataError as `run_lines` does, and for a tag with white space.
    """
    with open_output(path) as out:
        for question, passage, rank, score in run_lines(questions):
            tag = one_word(str(question.extra.get("tag") or "fidtools"), "tag", question)
            out.write(f"{question.id} Q0 {passage} {rank} {score!r} {tag}\n".encode())


def write_tevatron_run(questions: Iterable[Question], path: PathLike) -> None:
    """Tevatron's run: `qid TAB docid TAB score`, see `run_lines`. Raises DataError as that does."""
    with open_output(path) as out:
        for question, passage, _, score in run_lines(questions):
            out.write(f"{question.id}\t{passage}\t{score!r}\n".encode())


FORMATS = (
    Format(
        "trec-run",
        "questions",
        "a TREC run",
        detect=columns(TREC_COLUMNS, lambda row: is_number(row[4]), or_more=True),
        read=read_run,
        write=write_run,
        fields_kept=RUN_FIELDS | {"tag"},
    ),
    Format(
        "colbert-run",
        "questions",
        "ColBERT's ranking.tsv: qid, pid, rank, score",
        detect=is_colbert,
        read=read_colbert_run,
    ),
    Format(
        "msmarco-run",
        "questions",
        "qid, docid, rank",
        detect=is_msmarco,
        read=read_msmarco_run,
    ),
    Format(
        "tevatron-run",
        "questions",
        "qid, docid, score",
        detect=columns(3, lambda row: is_number(row[2])),
        read=read_tevatron_run,
        write=write_tevatron_run,
        fields_kept=RUN_FIELDS,
    ),
)
