"""Rankings in tables whose first row names the columns, as PyTerrier's data frames are saved."""

from __future__ import annotations

from collections.abc import Iterator

from fidtools.data.files import PathLike
from fidtools.data.pipes import seekable
from fidtools.data.record_parsing import parse_passage
from fidtools.data.records import Question
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.hits import Hit, by_rank, by_score, gathered
from fidtools.formats.parsing import require_integer, require_text
from fidtools.formats.signatures import DELIMITERS, table_columns
from fidtools.formats.table_rows import Row, named_rows

QUESTION, PASSAGE, QUERY = "qid", "docno", "query"
OURS = frozenset((QUESTION, PASSAGE, QUERY, "rank", "score", "text", "title"))


def read_pyterrier_run(path: PathLike) -> Iterator[Question]:
    """`qid` and `docno` with `rank` or `score`, and maybe `query` and `text`; other columns stay with the passage.

    In the order of the ranks, else of a TREC run. Raises DataError for two queries of one id.
    """
    file = seekable(path)
    queries: dict[str, str] = {}
    hits = (_hit(row, queries) for row in _rows(file, path))
    questions = gathered((row.cells[QUESTION] for row in _rows(file, path)), hits)
    has_ranks = any("rank" in table_columns(Head.of(file), sign) for sign in DELIMITERS)
    ordered = by_rank(questions, "the columns are qid, docno, rank, score") if has_ranks else by_score(questions)
    for question in ordered:
        question.question = queries.get(question.id, "")
        for passage in question.ctxs or []:
            passage.extra.pop("rank", None)
        yield question


def _rows(file: PathLike, path: PathLike) -> Iterator[Row]:
    """The rows of the file, each with a question."""
    for row in named_rows(path, (QUESTION, PASSAGE), OURS, file=file):
        require_text(row.cells.get(QUESTION, ""), QUESTION, row.where)
        yield row


def _hit(row: Row, queries: dict[str, str]) -> Hit:
    cells, where = row.cells, row.where
    question, query = cells.pop(QUESTION), cells.pop(QUERY, "")
    if queries.setdefault(question, query) != query:
        raise where.error(f"question {question} has another text further up", QUERY, query)
    identifier = require_text(cells.pop(PASSAGE, ""), PASSAGE, where)
    passage = parse_passage({"text": "", **cells, "id": identifier}, where)
    if "rank" in cells:
        passage.extra["rank"] = require_integer(cells["rank"], "rank", where)
    return Hit(question, passage, where)


def _is_run(names: frozenset[str]) -> bool:
    return {QUESTION, PASSAGE} <= names and not names.isdisjoint(("rank", "score"))


def _is_pyterrier_run(head: Head) -> bool:
    """Columns separated by commas, or a query among others: other formats have plain columns with tabs."""
    found = {sign: table_columns(head, sign) for sign in DELIMITERS}
    return any(_is_run(names) and (sign != "\t" or QUERY in names) for sign, names in found.items())


FORMATS = (
    Format(
        "pyterrier-run",
        "questions",
        "PyTerrier's results as CSV: qid, docno, rank, score",
        detect=_is_pyterrier_run,
        read=read_pyterrier_run,
    ),
)
