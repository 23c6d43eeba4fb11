"""Rankings in tables whose first row names the columns, as PyTerrier's data frames are saved."""

from __future__ import annotations

from collections.abc import Iterator

from fidtools.data.files import PathLike
from fidtools.data.pipes import seekable
from fidtools.data.record_parsing import parse_passage
from fidtools.data.records import Location, Question
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.hits import Hit, by_rank, by_score, gathered
from fidtools.formats.named_columns import require_distinct
from fidtools.formats.parsing import read_rows, require_integer, require_text
from fidtools.formats.signatures import DELIMITERS, table_columns

QUESTION, PASSAGE, TEXT = "qid", "docno", "query"
Row = tuple[dict[str, str], Location]


def read_pyterrier_run(path: PathLike) -> Iterator[Question]:
    """`qid` and `docno` with `rank` or `score`, and maybe `query` and `text`; other columns stay with the passage.

    In the order of the ranks, else of a TREC run. Raises DataError for two queries of one id.
    """
    file, head = seekable(path), Head.of(path)
    delimiter = next((sign for sign in DELIMITERS if _is_run(table_columns(head, sign))), ",")
    has_ranks = "rank" in table_columns(head, delimiter)
    queries: dict[str, str] = {}
    hits = (_hit(row, where, queries) for row, where in _rows(file, path, delimiter))
    questions = gathered((row[QUESTION] for row, _ in _rows(file, path, delimiter)), hits)
    ordered = by_rank(questions, "the columns are qid, docno, rank, score") if has_ranks else by_score(questions)
    for question in ordered:
        question.question = queries.get(question.id, "")
        for passage in question.ctxs or []:
            passage.extra.pop("rank", None)
        yield question


def _rows(file: PathLike, path: PathLike, delimiter: str) -> Iterator[Row]:
    """The rows by the names of their columns, without empty cells. Raises DataError for rows of other widths."""
    rows = read_rows(file, delimiter, strict=True)
    names = [name.strip().lower() for name in next(rows, (0, []))[1]]
    require_distinct(names, path)
    for number, row in rows:
        where = Location(path, number)
        if len(row) != len(names):
            raise where.error(f"expected {len(names)} columns, found {len(row)}", "row", delimiter.join(row))
        record = {name: cell for name, cell in zip(names, row, strict=True) if name and cell.strip()}
        require_text(record.get(QUESTION, ""), QUESTION, where)
        yield record, where


def _hit(row: dict[str, str], where: Location, queries: dict[str, str]) -> Hit:
    question, query = row.pop(QUESTION), row.pop(TEXT, "")
    if queries.setdefault(question, query) != query:
        raise where.error(f"question {question} has another text further up", TEXT, query)
    identifier = require_text(row.pop(PASSAGE, ""), PASSAGE, where)
    passage = parse_passage({"text": "", **row, "id": identifier}, where)
    if "rank" in row:
        passage.extra["rank"] = require_integer(row["rank"], "rank", where)
    return Hit(question, passage, where)


def _is_run(names: frozenset[str]) -> bool:
    return {QUESTION, PASSAGE} <= names and not names.isdisjoint(("rank", "score"))


def _is_pyterrier_run(head: Head) -> bool:
    """Columns separated by commas, or a query among others: other formats have plain columns with tabs."""
    found = {sign: table_columns(head, sign) for sign in DELIMITERS}
    return any(_is_run(names) and (sign != "\t" or TEXT in names) for sign, names in found.items())


FORMATS = (
    Format(
        "pyterrier-run",
        "questions",
        "PyTerrier's results as CSV: qid, docno, rank, score",
        detect=_is_pyterrier_run,
        read=read_pyterrier_run,
    ),
)
