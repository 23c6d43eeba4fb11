"""DPR's table of passages (`psgs_w100.tsv`): columns `id text title`, separated by tabs and quoted as in CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import IO, cast

from fidtools.data.files import PathLike, open_data
from fidtools.data.gzip_names import without_gzip
from fidtools.data.jsonl import bounded_lines
from fidtools.data.list_text import parse_list_text
from fidtools.data.records import Passage
from fidtools.errors import DataError, nonempty

MAX_FIELD_CHARACTERS = 1 << 24  # csv's own limit, 131,072, is shorter than some documents
HEADER = ("id", "text", "title")
OTHER_NAMES = ("id", "_id", "pid", "qid", "docid", "passage_id", "query-id", "query_id")


def is_table(path: PathLike) -> bool:
    """Whether the name of a file says that it is such a table, compressed or not."""
    return without_gzip(path).lower().endswith(".tsv")


def read_passage_table(path: PathLike) -> Iterator[Passage]:
    """The passages of a DPR table, one at a time. The header is optional and may reorder the columns.

    Raises DataError for records of the wrong width, with their line, and for a file without passages.
    """
    return (passage for _, passage in read_numbered_table(path))


def read_numbered_table(path: PathLike) -> Iterator[tuple[int, Passage]]:
    """`read_passage_table` with the line on which each passage begins."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    with open_data(path) as stream:
        text = io.TextIOWrapper(cast(IO[bytes], stream), encoding="utf-8-sig", newline="")
        yield from table_passages(table_records(bounded_lines(text, path)), path)


def table_records(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The records of a table that are not blank, each with the line on which it begins."""
    reader = csv.reader(lines, delimiter="\t", strict=True)
    begin = 1
    for record in reader:
        if record:
            yield begin, record
        begin = reader.line_num + 1


def table_passages(records: Iterator[tuple[int, list[str]]], path: PathLike) -> Iterator[tuple[int, Passage]]:
    """Every record but the header as a passage, with its line. Raises DataError in place of the csv reader's errors."""
    yield from nonempty(_passages(records, path), "passages", path)


def _passages(records: Iterator[tuple[int, list[str]]], path: PathLike) -> Iterator[tuple[int, Passage]]:
    columns, is_named, line = [0, 1, 2], None, 0
    try:
        for line, record in records:
            if is_named is None:
                columns, is_named = header_columns(record) or columns, header_columns(record) is not None
                if is_named:
                    continue
                _check_first(record, path, line)
            passage = table_passage(record, columns, path, line)
            if not is_named and len(record) > len(HEADER):
                raise _wrong_width(record, path, line)
            yield line, passage
    except csv.Error as error:
        hint = "quotes inside a quoted field must be doubled, as in psgs_w100.tsv"
        raise DataError(f"malformed table after line {line}: {error}", path=path, hint=hint) from error
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 after line {line}: {error}", path=path) from error


def _check_first(record: list[str], path: PathLike, line: int) -> None:
    """Raise DataError for the first record of another table: runs, triples, judgements, questions, other names."""
    identifier = record[0]
    is_ranked = len(record) == len(HEADER) and len(record[1].split()) == 1 and record[2].strip().isdecimal()
    has_answers = any(parse_list_text(cell) for cell in record)
    if len(identifier.split()) > 1 or is_ranked or has_answers or identifier.lower() in OTHER_NAMES:
        hint = "where it is one, name the columns in a first row: id, text, title, separated by tabs"
        raise DataError("not a passage of DPR's table", path=path, line=line, value="\t".join(record), hint=hint)


def header_columns(record: list[str]) -> list[int] | None:
    """Where id, text and title are, when the record is a header; else None."""
    names = [cell.strip().lower() for cell in record]
    return [names.index(name) for name in HEADER] if set(HEADER) <= set(names) else None


def table_passage(record: list[str], columns: list[int], path: PathLike, number: int) -> Passage:
    """The passage of one record whose id, text and title are in `columns`. Raises DataError for one without an id."""
    if len(record) <= max(columns):
        raise _wrong_width(record, path, number)
    identifier, text, title = (record[column] for column in columns)
    if not identifier:
        raise DataError("missing", path=path, line=number, field="id", hint="every passage needs its own id")
    return Passage(id=identifier, text=text, title=title)


def _wrong_width(record: list[str], path: PathLike, line: int) -> DataError:
    hint = "columns are id, text, title, separated by tabs"
    return DataError(f"expected {len(HEADER)} columns, found {len(record)}", path=path, line=line, hint=hint)
