"""Rankings in plain columns: TREC's runs, and those of Tevatron and MS MARCO."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

from fidtools.data.files import PathLike, open_output
from fidtools.data.pipes import seekable
from fidtools.data.records import Location, Passage, Question
from fidtools.formats.detection import columns, is_header, is_number, is_rank, split_columns
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.parsing import read_columns, require_integer
from fidtools.formats.writer_helpers import is_one_word, required

TREC_COLUMNS = 6  # and any number more, as trec_eval has it
SCORE_NAMES = frozenset({"score", "sim", "similarity", "relevance", "rel"})
RUN_FIELDS = frozenset({"id", "ctxs.id", "ctxs.score"})


class Hit(NamedTuple):
    """One line of a run: a passage ranked for a question."""

    question: str
    passage: Passage
    where: Location


def read_run(path: PathLike) -> Iterator[Question]:
    """`qid Q0 docid rank score tag`, in trec_eval's order: descending score, equal scores by descending docid.

    The run's tag is the question's `tag`. As in trec_eval, further columns are ignored, and the lines of a question
    need not follow each other.
    """

    def tagged(cells: list[str], where: Location) -> Hit:
        hit = _scored_hit(cells[0], cells[2], cells[4], where)
        hit.passage.extra["tag"] = cells[5]
        return hit

    for question in _by_score(_grouped(path, TREC_COLUMNS, tagged)):
        for passage in question.ctxs or []:
            question.extra["tag"] = passage.extra.pop("tag")
        yield question


def read_tevatron_run(path: PathLike) -> Iterator[Question]:
    """`qid docid score`, separated by tabs or spaces; in the order of a TREC run."""
    return _by_score(_grouped(path, 3, lambda cells, where: _scored_hit(cells[0], cells[1], cells[2], where)))


def read_msmarco_run(path: PathLike) -> Iterator[Question]:
    """`qid docid rank`, in the order of the ranks; there are no scores, and none are invented.

    Raises DataError where a question has one rank twice: then the numbers are scores.
    """

    def ranked(cells: list[str], where: Location) -> Hit:
        rank = require_integer(cells[2], "rank", where)
        return Hit(cells[0], Passage(id=cells[1], text="", extra={"rank": rank}), where)

    return _by_rank(_grouped(path, 3, ranked), "if the last column is a score: --from tevatron-run")


def read_colbert_run(path: PathLike) -> Iterator[Question]:
    """`qid pid rank score`, as ColBERT saves a ranking; in the order of the ranks. A pid is a line of its collection.

    Raises DataError where a question has one rank twice.
    """

    def ranked(cells: list[str], where: Location) -> Hit:
        hit = _scored_hit(cells[0], cells[1], cells[3], where)
        hit.passage.extra["rank"] = require_integer(cells[2], "rank", where)
        return hit

    for question in _by_rank(_grouped(path, 4, ranked), "the columns are qid, pid, rank, score"):
        for passage in question.ctxs or []:
            del passage.extra["rank"]
        yield question


def _is_colbert(head: Head) -> bool:
    """Four columns: the third counts the passages of each question, 1, 2, 3 …; the fourth holds numbers with a point.

    In judgements, the second column is the same everywhere. A header that names a rank and a score settles it.
    """
    if not columns(4, lambda row: is_rank(row[2]) and is_number(row[3]))(head):
        return False
    rows = [split_columns(line, 4) for line in head.lines]
    if is_header(rows[0]):
        if [name.lower() for name in rows[0][2:]] == ["rank", "score"]:
            return True
        rows = rows[1:]
    ranks: dict[str, int] = {}
    for question, _, rank, _ in rows:
        ranks[question] = ranks.get(question, 0) + 1
        if int(rank) != ranks[question]:
            return False
    return len({row[1] for row in rows}) > 1 and not any(row[3].isdecimal() for row in rows)


def _is_ranked(head: Head) -> bool:
    """Three columns, the last of which counts the passages of each question: 1, 2, 3 …, each once, in any order.

    Integers that do not are scores, and so are those that a header calls so, or that count down everywhere. The
    question that the head may cut off counts only when it is the only one.
    """
    if not columns(3, lambda row: is_rank(row[2]))(head):
        return False
    ranks: dict[str, list[int]] = {}
    first, *rows = (split_columns(line, 3) for line in head.all_lines)
    if is_header(first) and first[2].lower() in SCORE_NAMES:
        return False
    for row in rows if is_header(first) else [first, *rows]:
        if len(row) != 3 or not is_rank(row[2]):
            return False
        ranks.setdefault(row[0], []).append(int(row[2]))
    if head.is_cut and len(ranks) > 1:
        ranks.popitem()
    several = [found for found in ranks.values() if len(found) > 1]
    if several and not is_header(first) and all(found == sorted(found, reverse=True) for found in several):
        return False
    return all(sorted(found) == list(range(1, len(found) + 1)) for found in ranks.values())


def _by_rank(questions: Iterator[Question], hint: str) -> Iterator[Question]:
    for question in questions:
        passages = question.ctxs or []
        passages.sort(key=lambda passage: passage.extra["rank"])
        for before, passage in pairwise(passages):
            if before.extra["rank"] == passage.extra["rank"]:
                problem = f"question {question.id} has this rank twice"
                raise question.error(problem, "rank", passage.extra["rank"], hint)
        yield question


def _by_score(questions: Iterator[Question]) -> Iterator[Question]:
    for question in questions:
        passages = question.ctxs or []
        passages.sort(key=lambda passage: passage.id or "", reverse=True)
        passages.sort(key=lambda passage: passage.score or 0.0, reverse=True)
        yield question


def _scored_hit(question: str, passage: str, score: str, where: Location) -> Hit:
    try:
        value = float(score)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise where.error("must be a number", "score", score)
    return Hit(question, Passage(id=passage, text="", score=value), where)


def _grouped(path: PathLike, width: int, parse: Callable[[list[str], Location], Hit]) -> Iterator[Question]:
    """The hits of each question as a Question, in the order in which the questions begin.

    Only one question is held in memory where its lines follow each other, which a first pass finds out.
    """
    file = seekable(path)
    hits = (parse(cells, Location(path, where.line)) for cells, where in _lines(file, width))
    groups: Iterable[tuple[str, Iterable[Hit]]] = groupby(hits, key=lambda hit: hit.question)
    if _is_interleaved(cells[0] for cells, _ in _lines(file, width)):
        gathered: dict[str, list[Hit]] = {}
        for hit in hits:
            gathered.setdefault(hit.question, []).append(hit)
        groups = gathered.items()
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


def write_run(questions: Iterable[Question], path: PathLike) -> None:
    """A TREC run: `qid Q0 docid rank score tag`, by descending score; the tag is the question's `tag`, or "fidtools".

    Raises DataError for a missing id or score, and for an id or tag with white space.
    """
    with open_output(path) as out:
        for question, rank, passage in _ranked(questions):
            tag = _one_word(str(question.extra.get("tag", "fidtools")), "tag", question)
            out.write(f"{question.id} Q0 {passage.id} {rank} {passage.score!r} {tag}\n".encode())


def write_tevatron_run(questions: Iterable[Question], path: PathLike) -> None:
    """Tevatron's run: `qid TAB docid TAB score`. Raises DataError for a missing id or score."""
    with open_output(path) as out:
        for question, _, passage in _ranked(questions):
            out.write(f"{question.id}\t{passage.id}\t{passage.score!r}\n".encode())


def _ranked(questions: Iterable[Question]) -> Iterator[tuple[Question, int, Passage]]:
    """Every passage of every question with its rank by score, from 1."""
    for question in questions:
        _one_word(question.id, "id", question)
        for passage in question.ctxs or []:
            required(passage, "score", question)
            _one_word(required(passage, "id", question), "ctxs.id", question)
        question.sort_ctxs()
        yield from ((question, rank, passage) for rank, passage in enumerate(question.ctxs or [], 1))


def _one_word(text: str, name: str, question: Question) -> str:
    if not is_one_word(text):
        raise question.error("must be one word in this format", name, text)
    return text


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
        detect=_is_colbert,
        read=read_colbert_run,
    ),
    Format(
        "msmarco-run",
        "questions",
        "qid, docid, rank",
        detect=_is_ranked,
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
