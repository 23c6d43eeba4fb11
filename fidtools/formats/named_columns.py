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
from fidtools.data.records import Passage, Question
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.signatures import DELIMITERS, table_columns
from fidtools.formats.table_rows import Row, named_rows, spelled
from fidtools.logs import log

NUMBERED_ANSWER = re.compile(rf"(?:{'|'.join(ANSWERS)})[ _.-]?\d+", re.IGNORECASE)
ANSWERS_HINT = """one column `answers` holds several as ["a", "b"]"""
WHOLE_FLOAT = re.compile(r"\d+\.0", re.ASCII)
INTS = "pandas writes integers with astype('Int64')"
OURS = frozenset((*QUESTION, *QUESTION_ID, *TEXT, *PASSAGE_ID, *CTXS, *ANSWERS, "title", "doc_id", "target", "gold"))
"""The columns that may be written in capitals, too."""


def read_question_table(path: PathLike) -> Iterator[Question]:
    """One question per row, see `question_of_row`."""
    return noting_labels(map(question_of_row, checked_ids(named_rows(path, QUESTION, OURS), QUESTION_ID)))


def read_passage_table(path: PathLike) -> Iterator[Passage]:
    """One passage or document per row, see `passage_of_row`."""
    return map(passage_of_row, checked_ids(named_rows(path, TEXT, OURS), PASSAGE_ID))


def checked_ids(rows: Iterable[Row], names: Sequence[str]) -> Iterator[Row]:
    """The rows unchanged. Raises DataError as `DefaultIds` does."""
    ids = DefaultIds(names)
    for row in rows:
        ids.check(_filled(row), row.where)
        yield row


def question_of_row(row: Row) -> Question:
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
    return parse_question(record if named else {"id": str(row.number)} | record, row.where)


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


def passage_of_row(row: Row) -> Passage:
    """The passage of a row; other columns than ours are kept. The default of its id is the row's number, from 0.

    An empty text is kept where the table tells it from a missing one, as Parquet does.
    """
    record = _filled(row)
    empty = [name for name in (spelled(name, OURS) for name in row.cells) if name in TEXT]
    record |= {empty[0]: ""} if empty and record.keys().isdisjoint(TEXT) else {}
    named = any(name in record for name in PASSAGE_ID)
    return parse_passage(record if named else {"id": str(row.number)} | record, row.where)


def _filled(row: Row) -> dict[str, Any]:
    """The cells of a row that are not empty, by the names of their columns as our fields spell them."""
    return {spelled(name, OURS): value for name, value in row.cells.items() if value != ""}


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
