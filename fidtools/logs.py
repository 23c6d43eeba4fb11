"""Logging: messages on stderr, and a progress bar when stderr is a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger("fidtools")


def set_verbosity(level: int) -> None:
    """Show warnings only at -1 (-q), normal messages at 0, details from 1 (-v) on, errors only below -1 (-qq)."""
    log.setLevel({-1: logging.WARNING, 0: logging.INFO}.get(level, logging.DEBUG if level > 0 else logging.ERROR))
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.propagate = False


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` unchanged, with a progress bar on stderr when it is a terminal and -q was not given.

    `what` labels the bar; `total` is the number of items, where it is known.
    """
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
