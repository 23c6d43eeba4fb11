"""Logging: messages on stderr, and progress bars when stderr is a terminal. Both share the terminal: a message that is
logged while a bar is shown appears above it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from fidtools.console import console, draws, literal, stderr_in_use
from fidtools.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, Task
    from rich.text import Text

T = TypeVar("T")
log = logging.getLogger("fidtools")
WHITE_SPACE = "\n\t"  # that our own messages have


class _Formatter(logging.Formatter):
    """The message alone. What it quotes of the data cannot move the cursor."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep=WHITE_SPACE)


class _StderrHandler(logging.StreamHandler[Any]):
    """Writes to what `sys.stderr` is at the moment: while a bar is shown, rich replaces it to print above the bar."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        with stderr_in_use:
            super().emit(record)

    @property
    def stream(self) -> Any:
        return sys.stderr


def set_verbosity(level: int) -> None:
    """Show warnings only at -1 (-q), normal messages at 0, details from 1 (-v) on, errors only below -1 (-qq)."""
    log.setLevel({-1: logging.WARNING, 0: logging.INFO}.get(level, logging.DEBUG if level > 0 else logging.ERROR))
    if not log.handlers:
        log.addHandler(_StderrHandler())
        log.propagate = False


class _Bars:
    """The progress bars of this process, one below the other, on one console."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.hidden = 0

    def shown(self) -> bool:
        """Whether there is a terminal for bars that nothing else is written to, and -q was not given."""
        return not self.hidden and log.isEnabledFor(logging.INFO) and draws(sys.stderr)

    @contextlib.contextmanager
    def bar(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A bar for as long as the block runs; the function it gives counts on."""
        progress, outermost = self.progress, False
        if progress is None:
            progress, outermost = new_progress(*_columns()), True
            progress.start()
            self.progress = progress
        task = progress.add_task(printable(what), total=total)
        try:
            yield lambda count: progress.advance(task, count)
        finally:
            if self.progress is progress:  # not stopped after an error
                progress.remove_task(task)
                if outermost:
                    stop_bars()


_bars = _Bars()


def new_progress(*columns: ProgressColumn) -> Progress:
    """Bars on stderr, which messages are printed above. Standard output is data and stays as it is."""
    from rich.progress import Progress

    return Progress(*columns, console=console(sys.stderr), transient=True, redirect_stdout=False)


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """No bars while the block writes data to the terminal: the data itself shows the progress."""
    _bars.hidden += 1
    try:
        yield
    finally:
        _bars.hidden -= 1


def stop_bars() -> None:
    """Remove bars that are left after an error, and show the cursor again."""
    if _bars.progress is not None:
        _bars.progress.stop()
        _bars.progress = None


def bars_are_shown() -> bool:
    """Whether progress bars can be shown, and are wanted."""
    return _bars.shown()


def _columns() -> tuple[ProgressColumn, ...]:
    from rich import progress as bars

    class Count(bars.ProgressColumn):
        """`40,960/21,015,324 1,234.5/s`."""

        def render(self, task: Task) -> Text:
            total = "" if task.total is None else f"/{task.total:,.0f}"
            speed = "" if task.speed is None else f" {task.speed:,.1f}/s"
            return literal(f"{task.completed:,.0f}{total}{speed}")

    return (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        Count(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(compact=True),
    )


def track(
    items: Iterable[T], what: str, total: int | None = None, size: Callable[[T], int] | None = None
) -> Iterator[T]:
    """Yield `items` unchanged, with a progress bar on stderr when it is a terminal and -q was not given.

    `what` labels the bar: what is counted, such as "questions". `total` is their number, where it is known. An item
    that stands for several of them (a block of texts) is counted by `size`.
    """
    if not _bars.shown():
        yield from items
        return
    with _bars.bar(what, total) as advance:
        for item in items:
            yield item
            advance(1 if size is None else size(item))
