"""Detectors: functions that tell a format from the first bytes of a file."""

from __future__ import annotations

from collections.abc import Callable

from fidtools.errors import MOST_DIGITS
from fidtools.formats.head import Head

Detector = Callable[[Head], bool]
COLUMN_NAMES = frozenset(
    "qid query_id query-id queryid question_id topic topic_id q0 iter iteration docid doc_id docno pid passage_id"
    " corpus-id corpus_id rank score sim similarity relevance rel grade label judgment judgement tag run run_id run_tag"
    " system id _id query question text title answer answers run_name runid q_id query_text question_text document_id"
    " doc-id".split()
)


def keys(*names: str) -> Detector:
    """The first JSON record has all of these keys."""
    return lambda head: head.has(*names)


def any_of(*detectors: Detector) -> Detector:
    """At least one of the detectors matches."""
    return lambda head: any(detect(head) for detect in detectors)


def without_keys(detect: Detector, *names: str) -> Detector:
    """The detector matches, and the first JSON record has none of these keys."""
    return lambda head: detect(head) and head.keys.isdisjoint(names)


def suffix(*endings: str) -> Detector:
    """The file name has one of these suffixes."""
    return lambda head: head.path.name.endswith(endings) and not head.path.is_dir()


def header(*names: str, separator: str = ",") -> Detector:
    """The first line names these columns."""
    return lambda head: bool(head.lines) and set(names) <= set(head.lines[0].split(separator))


def columns(
    width: int, test: Callable[[list[str]], bool], separator: str | None = None, *, or_more: bool = False
) -> Detector:
    """Each of the first lines but a header has `width` columns (`or_more`) and passes the test.

    Without a separator, `split_columns` splits. Carriage returns in the middle of a line are no white space.
    """

    def detect(head: Head) -> bool:
        lines = [] if head.start or any("\r" in line for line in head.lines) else head.lines
        tabs = {line.count("\t") for line in lines}
        if separator is None and len(tabs) == 1 and 1 <= min(tabs) < width - 1:
            return False  # tabs make fewer columns, whose cells hold blanks
        rows = [line.split(separator) if separator else split_columns(line, width) for line in lines]
        rows = rows[1:] if rows and is_header(rows[0]) else rows
        return bool(rows) and all((len(row) == width or (or_more and len(row) > width)) and test(row) for row in rows)

    return detect


def split_columns(line: str, width: int) -> list[str]:
    """The cells of a line: what white space separates, or what tabs do where that alone makes `width` cells.

    Ids with blanks can be told apart only by tabs. Further words in the last cell are left out.
    """
    cells = line.split()
    if len(cells) <= width or line.count("\t") != width - 1:
        return cells
    *first, last = (cell.strip() for cell in line.split("\t"))
    return [*first, *last.split()[:1]]


def is_header(row: list[str]) -> bool:
    """Whether all cells of a row are names of columns, as pandas and spreadsheets put them first."""
    return len(row) > 1 and all(cell.strip().lower() in COLUMN_NAMES for cell in row)


def is_number(cell: str) -> bool:
    """Whether the cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def is_rank(cell: str) -> bool:
    """Whether the cell is a positive integer."""
    return cell.isdecimal() and len(cell) <= MOST_DIGITS and int(cell) > 0
