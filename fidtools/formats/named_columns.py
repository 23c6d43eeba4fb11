"""Tables whose first row names the columns, as spreadsheets, pandas and databases export them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fidtools.data.default_ids import DefaultIds
from fidtools.data.files import PathLike
from fidtools.data.record_parsing import (
    ANSWERS,
    CTXS,
    PASSAGE_ID,
    QUESTION,
    QUESTION_ID,
    TEXT,
    parse_passage,
    parse_question,
)
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.parsing import read_rows
from fidtools.formats.signatures import DELIMITERS, table_columns
from fidtools.logs import log

NUMBERED_ANSWER = re.compile(rf"(?:{'|'.join(ANSWERS)})[ _.-]?\d+", re.IGNORECASE)
ANSWERS_HINT = """one column `answers` holds several as ["a", "b"]"""
WHOLE_FLOAT = re.compile(r"\d+\.0", re.ASCII)
INTS = "pandas writes integers with astype('Int64')"


def read_question_table(path: PathLike) -> Iterator[Question]:
    """One question per row, see `question_of_row`."""
    rows = checked_ids(_records(path, QUESTION), QUESTION_ID, path)
    return noting_labels(question_of_row(number, row, path, line) for number, row, line in rows)


def read_passage_table(path: PathLike) -> Iterator[Passage]:
    """One passage or document per row, see `passage_of_row`."""
    rows = checked_ids(_records(path, TEXT), PASSAGE_ID, path)
    return (passage_of_row(number, row, path, line) for number, row, line in rows)


def checked_ids(
    rows: Iterable[tuple[int, dict[str, Any], int]], names: Sequence[str], path: PathLike
) -> Iterator[tuple[int, dict[str, Any], int]]:
    """The rows unchanged. Raises DataError as `DefaultIds` does."""
    ids = DefaultIds(names)
    for number, row, line in rows:
        ids.check(_filled(row), Location(path, line))
        yield number, row, line


def question_of_row(number: int, row: dict[str, Any], path: PathLike, line: int | None = None) -> Question:
    """The question of a row; other columns than ours are kept as fields. The default of its id is its number, from 0.

    The cell of `answers` is one answer or the text of a list. A text in `context` becomes the question's one passage.
    `nan` in the place of answers or `gold`, as pandas writes a missing value, is none.
    """
    record = _filled(row)
    for name in {*ANSWERS, "gold"} & record.keys():
        if str(record[name]).strip().lower() in ("nan", "<na>"):
            del record[name]
    for name in CTXS:
        if isinstance(text := record.get(name), str) and not text.lstrip().startswith("["):
            record[name] = [{"text": text}]
    named = any(name in record for name in QUESTION_ID)
    return parse_question(record if named else {"id": str(number)} | record, Location(path, line or number + 1))


def noting_labels(questions: Iterable[Question]) -> Iterator[Question]:
    """The questions unchanged. Warns, with counts, of cells that look like answers or gold and are read as neither."""
    numbered: set[str] = set()
    floats = 0
    for question in questions:
        if question.answers is None:
            numbered |= {name for name in question.extra if NUMBERED_ANSWER.fullmatch(name)}
        floats += isinstance(gold := question.extra.get("gold"), str) and WHOLE_FLOAT.fullmatch(gold) is not None
        yield question
    if numbered:
        log.warning("columns that are not read as answers: %s; %s", ", ".join(sorted(numbered)), ANSWERS_HINT)
    if floats:
        log.warning("ids in `gold` written as floats, such as 13.0, which are no ids of integers: %d; %s", floats, INTS)


def passage_of_row(number: int, row: dict[str, Any], path: PathLike, line: int | None = None) -> Passage:
    """The passage of a row; other columns than ours are kept. The default of its id is the row's number, from 0.

    An empty text is kept where the table tells it from a missing one, as Parquet does.
    """
    record = _filled(row)
    empty = [name for name in map(_column, row) if name in TEXT]
    record |= {empty[0]: ""} if empty and record.keys().isdisjoint(TEXT) else {}
    named = any(name in record for name in PASSAGE_ID)
    return parse_passage(record if named else {"id": str(number)} | record, Location(path, line or number + 1))


def _records(path: PathLike, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any], int]]:
    """The rows without their empty cells: number from 0, cells, line. Columns without names are left out.

    Rows of empty cells alone, as spreadsheets leave them, are left out too. Raises DataError when no column is `needed`
    or two have one name, for rows of other widths, and for a quote that is left open.
    """
    head = Head.of(path)
    delimiter = next((sign for sign in DELIMITERS if not table_columns(head, sign).isdisjoint(needed)), ",")
    rows = read_rows(path, delimiter, strict=True)
    names = [_column(name) for name in next(rows, (0, []))[1]]
    if set(names).isdisjoint(needed):
        problem = f"the first row names none of the columns {', '.join(needed)}"
        raise DataError(problem, path=path, line=1, value=delimiter.join(names))
    require_distinct(names, path)
    for number, (line, row) in enumerate(rows):
        if len(row) != len(names):
            hint = "a cell that holds the separator or a line break needs double quotes around it"
            raise Location(path, line).error(
                f"expected {len(names)} columns, found {len(row)}", "row", delimiter.join(row), hint
            )
        cells = zip(names, row, strict=True)
        if record := {name: cell for name, cell in cells if name and cell.strip()}:
            yield number, record, line


def require_distinct(names: Sequence[str], path: PathLike) -> None:
    """Raise DataError where two columns have one name: one would be lost. Columns without names do not count."""
    spelled = [_column(name) for name in names]
    if twice := next((name for place, name in enumerate(spelled) if name and name in spelled[:place]), None):
        raise DataError("two columns have this name", path=path, line=1, field="name", value=twice)


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    """The cells of a row that are not empty, by the names of their columns as our fields spell them."""
    return {_column(name): value for name, value in row.items() if value != ""}


def _column(name: str) -> str:
    """The name of a column as our fields spell it, where it is one of ours."""
    name = name.strip()
    return name.lower() if name.lower() in OURS else name


OURS = frozenset((*QUESTION, *QUESTION_ID, *TEXT, *PASSAGE_ID, *CTXS, *ANSWERS, "title", "doc_id", "target", "gold"))


def _is_question_table(head: Head) -> bool:
    """A column holds questions. `id TAB query` without more is a table of queries."""
    for delimiter in DELIMITERS:
        names = table_columns(head, delimiter)
        if not names.isdisjoint(QUESTION):
            first = head.rows(delimiter)[0][0].strip().lower()
            return delimiter != "\t" or len(names) != 2 or first in QUESTION
    return False


def _is_passage_table(head: Head) -> bool:
    """A column holds texts, none questions."""
    found = [table_columns(head, delimiter) for delimiter in DELIMITERS]
    return any(not names.isdisjoint(TEXT) and names.isdisjoint(QUESTION) for names in found)


FORMATS = (
    Format(
        "question-table",
        "questions",
        "CSV or TSV whose first row names a column `question`",
        detect=_is_question_table,
        read=read_question_table,
    ),
    Format(
        "passage-table",
        "passages",
        "CSV or TSV whose first row names a column `text`",
        detect=_is_passage_table,
        read=read_passage_table,
    ),
)
