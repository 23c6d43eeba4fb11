"""Tables of numbers on a terminal. Numbers are never cut: a table that is too wide is transposed, or split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from fidtools.console import literal

BORDER = 3  # characters of padding and line per column
LABEL_WIDTH = 12  # that a column of names is folded to at least
HEAD_WIDTH = 16  # that a name is folded to when it heads a column


@dataclass(frozen=True)
class Grid:
    """A table: `cells[i][j]` stands in the row of `labels[i]` (a text for each of `label_heads`) under `heads[j]`."""

    label_heads: tuple[str, ...]
    labels: Sequence[tuple[str, ...]]
    heads: list[str]
    cells: list[list[Text]]

    def transposed(self) -> Grid:
        """Rows as columns."""
        heads = [" ".join(part for part in label if part) or "all" for label in self.labels]
        columns = [list(column) for column in zip(*self.cells, strict=True)]
        return Grid(("",), [(head,) for head in self.heads], heads, columns)

    def part(self, start: int, stop: int) -> Grid:
        """Some of the columns."""
        return Grid(self.label_heads, self.labels, self.heads[start:stop], [row[start:stop] for row in self.cells])

    def fits(self, width: int) -> bool:
        """Whether all numbers are whole in that many characters."""
        return self.width() <= width

    def width(self) -> int:
        """The characters that whole numbers and folded names need."""
        named = [[head, *column] for head, column in zip(self.label_heads, zip(*self.labels, strict=True), strict=True)]
        labels = [min(LABEL_WIDTH, max(map(cell_len, column))) for column in named]
        columns = zip(self.heads, zip(*self.cells, strict=True), strict=True)
        numbers = [max(_width(head), *(cell.cell_len for cell in column)) for head, column in columns]
        return 1 + sum(int(width) + BORDER for width in [*labels, *numbers])

    def table(self, notes: tuple[str, Sequence[str]] | None = None) -> Table:
        """As it is, with a last column of words that may be folded: its head, and a text per row."""
        table = Table()
        for head in self.label_heads:
            table.add_column(literal(head), overflow="fold")
        for head in self.heads:
            table.add_column(_folded(head), justify="right", no_wrap=True)
        if notes is not None:
            table.add_column(literal(notes[0]), style="dim")
        for number, (label, row) in enumerate(zip(self.labels, self.cells, strict=True)):
            table.add_row(*map(literal, label), *row, *([literal(notes[1][number])] if notes else []))
        return table


def fitted(grid: Grid, width: int) -> Iterator[Table]:
    """The grid in one table where it fits into `width` characters, else transposed, else in several tables."""
    if grid.fits(width):
        yield grid.table()
    elif (turned := grid.transposed()).fits(width):
        yield turned.table()
    else:
        yield from (part.table() for part in _parts(grid, width))


def _parts(grid: Grid, width: int) -> Iterator[Grid]:
    """As many columns at a time as fit, at least one."""
    start = 0
    while start < len(grid.heads):
        stop = start + 1
        while stop < len(grid.heads) and grid.part(start, stop + 1).fits(width):
            stop += 1
        yield grid.part(start, stop)
        start = stop


def _folded(head: str) -> Text:
    text = literal(head).plain
    return Text("\n".join(text[at : at + HEAD_WIDTH] for at in range(0, len(text), HEAD_WIDTH)))


def _width(head: str) -> int:
    return max(cell_len(line) for line in _folded(head).plain.split("\n"))
