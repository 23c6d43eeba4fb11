"""Passages as a table: DPR's `psgs_w100.tsv`, whose columns are `id text title`, tab-separated and CSV-quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import IO, cast

from fidtools.data.files import PathLike, open_input
from fidtools.data.records import Passage
from fidtools.errors import DataError

LONGEST_FIELD = 1 << 24
HEADER = ("id", "text", "title")


def read_passage_table(path: PathLike) -> Iterator[Passage]:
    """The passages of a DPR table, one at a time. The header row is optional and may reorder the columns.

    Raises DataError with the line for rows of the wrong width and for a file without rows.
    """
    csv.field_size_limit(LONGEST_FIELD)
    with open_input(path) as stream:
        text = io.TextIOWrapper(cast(IO[bytes], stream), encoding="utf-8", newline="")
        rows = csv.reader(text, delimiter="\t", strict=True)
        yield from table_passages(rows, path)


def table_passages(rows: Iterator[list[str]], path: PathLike) -> Iterator[Passage]:
    """The passage of every row but the header, with the reader's errors translated."""
    order = [0, 1, 2]
    number, found = 0, False
    try:
        for number, row in enumerate(rows, 1):
            if number == 1 and set(HEADER) <= set(row):
                order = [row.index(name) for name in HEADER]
                continue
            found = True
            yield table_passage(row, order, path, number)
    except csv.Error as error:
        hint = "quotes inside a quoted field must be doubled, as in psgs_w100.tsv"
        raise DataError(f"malformed table after row {number}: {error}", path=path, hint=hint) from error
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 after row {number}: {error}", path=path) from error
    if not found:
        raise DataError("no passages in it: the file is empty", path=path)


def table_passage(row: list[str], order: list[int], path: PathLike, number: int) -> Passage:
    """The passage of one row whose id, text and title are in the columns `order`."""
    if len(row) <= max(order):
        hint = "columns are id, text, title, separated by tabs"
        raise DataError(f"expected {len(HEADER)} columns, found {len(row)}", path=path, line=number, hint=hint)
    identifier, text, title = (row[column] for column in order)
    return Passage(id=identifier, text=text, title=title)
