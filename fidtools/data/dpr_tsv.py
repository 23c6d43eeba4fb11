"""DPR's table of passages (`psgs_w100.tsv`): columns `id text title`, separated by tabs and quoted as in CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import IO, cast

from fidtools.data.files import PathLike, open_data
from fidtools.data.records import Passage
from fidtools.errors import DataError, nonempty

MAX_FIELD_CHARACTERS = 1 << 24  # csv's own limit, 131,072, is shorter than some documents
HEADER = ("id", "text", "title")


def is_table(path: PathLike) -> bool:
    """Whether the name of a file says that it is such a table, compressed or not."""
    return str(path).removesuffix(".gz").endswith(".tsv")


def read_passage_table(path: PathLike) -> Iterator[Passage]:
    """The passages of a DPR table, one at a time. The header is optional and may reorder the columns.

    Raises DataError for records of the wrong width, with their number, and for a file without passages.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    with open_data(path) as stream:
        text = io.TextIOWrapper(cast(IO[bytes], stream), encoding="utf-8-sig", newline="")
        yield from table_passages(csv.reader(text, delimiter="\t", strict=True), path)


def table_passages(records: Iterator[list[str]], path: PathLike) -> Iterator[Passage]:
    """The passage of every record but the header. Raises DataError in place of the csv reader's own errors."""
    yield from nonempty(_passages(records, path), "passages", path)


def _passages(records: Iterator[list[str]], path: PathLike) -> Iterator[Passage]:
    columns = [0, 1, 2]
    number = 0
    try:
        for number, record in enumerate(records, 1):
            if number == 1 and (found := header_columns(record)):
                columns = found
            else:
                yield table_passage(record, columns, path, number)
    except csv.Error as error:
        hint = "quotes inside a quoted field must be doubled, as in psgs_w100.tsv"
        raise DataError(f"malformed table after record {number}: {error}", path=path, hint=hint) from error
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 after record {number}: {error}", path=path) from error


def header_columns(record: list[str]) -> list[int] | None:
    """Where id, text and title are, when the record is a header; else None."""
    return [record.index(name) for name in HEADER] if set(HEADER) <= set(record) else None


def table_passage(record: list[str], columns: list[int], path: PathLike, number: int) -> Passage:
    """The passage of one record whose id, text and title are in `columns`."""
    if len(record) <= max(columns):
        hint = "columns are id, text, title, separated by tabs"
        raise DataError(f"expected {len(HEADER)} columns, found {len(record)}", path=path, line=number, hint=hint)
    identifier, text, title = (record[column] for column in columns)
    return Passage(id=identifier, text=text, title=title)
