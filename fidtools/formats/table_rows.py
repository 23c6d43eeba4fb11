"""Rows of tables whose first row names the columns, by names as our fields spell them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from fidtools.data.files import PathLike
from fidtools.data.records import Location
from fidtools.errors import DataError
from fidtools.formats.head import Head
from fidtools.formats.parsing import read_rows
from fidtools.formats.signatures import DELIMITERS, table_columns

WIDTH = "a cell that holds the separator or a line break needs double quotes around it"


class Row(NamedTuple):
    """A row below the names: its number from 0, its cells, and where it begins."""

    number: int
    cells: dict[str, Any]
    where: Location


def named_rows(path: PathLike, needed: Collection[str], ours: Collection[str], *, file: PathLike = "") -> Iterator[Row]:
    """The rows of a table in which a column is `needed`; `ours` are spelled as there. `file` is read in `path`'s place.

    Empty cells and columns without names are left out, and so are rows of empty cells alone, as spreadsheets leave
    them. Raises DataError when no column is `needed` or two have one name, for rows of other widths, and for a quote
    that is left open.
    """
    head = Head.of(file or path)
    delimiter = next((sign for sign in DELIMITERS if not table_columns(head, sign).isdisjoint(needed)), ",")
    rows = read_rows(file or path, delimiter, strict=True)
    line, header = next(rows, (1, []))
    names = [spelled(name, ours) for name in header]
    if set(names).isdisjoint(needed):
        problem = f"the first row names none of the columns {', '.join(needed)}"
        raise DataError(problem, path=path, line=line, value=delimiter.join(names))
    require_distinct(names, path, line)
    for number, (line, row) in enumerate(rows):
        where = Location(path, line)
        if len(row) != len(names):
            raise where.error(f"expected {len(names)} columns, found {len(row)}", "row", delimiter.join(row), WIDTH)
        cells = {name: cell for name, cell in zip(names, row, strict=True) if name and cell.strip()}
        if cells:
            yield Row(number, cells, where)


def require_distinct(names: Sequence[str], path: PathLike, line: int = 1) -> None:
    """Raise DataError where two columns have one name: one would be lost. Columns without names do not count."""
    if twice := next((name for place, name in enumerate(names) if name and name in names[:place]), None):
        raise DataError("two columns have this name", path=path, line=line, field="name", value=twice)


def spelled(name: str, ours: Collection[str]) -> str:
    """The name of a column as our fields spell it, where it is one of ours."""
    name = name.strip()
    return name.lower() if name.lower() in ours else name
