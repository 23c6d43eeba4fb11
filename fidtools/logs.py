"""What a command says on stderr while it works: messages, and progress when stderr is a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger("fidtools")


def set_verbosity(level: int) -> None:
    """-1 (-q) shows warnings only, 0 the normal messages, 1 (-v) and above the details."""
    log.setLevel({-1: logging.WARNING, 0: logging.INFO}.get(level, logging.DEBUG if level > 0 else logging.ERROR))
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.propagate = False


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """`items` as they are, with a bar, rate and time left on stderr when it is a terminal and -q was not given."""
    if not (sys.stderr.isatty() and log.isEnabledFor(logging.INFO)):
        yield from items
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(compact=True),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, rate="")
        for item in items:
            yield item
            progress.advance(task)
            speed = progress.tasks[0].speed
            progress.update(task, rate="" if speed is None else f"{speed:,.1f}/s")
