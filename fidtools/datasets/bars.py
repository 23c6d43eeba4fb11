"""How far downloads are, on stderr when it is a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fidtools.datasets.transfer import Progress
from fidtools.datasets.urls import Source
from fidtools.logs import log

FEW = 12  # files that are shown and spoken of one by one


@contextmanager
def bars(sources: Sequence[Source]) -> Iterator[Mapping[str, Progress]]:
    """For every source, what to tell its bytes to: a bar with rate and time left; one for all when there are many."""
    if not (sources and sys.stderr.isatty() and log.isEnabledFor(logging.INFO)):
        yield {source.name: lambda done: None for source in sources}
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.DownloadColumn(),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        if len(sources) <= FEW:
            yield {source.name: _own(shown, source) for source in sources}
        else:
            yield _together(shown, sources)


def _own(shown: Any, source: Source) -> Progress:
    task = shown.add_task(source.name, total=source.size)
    return lambda done: shown.update(task, completed=done)


def _together(shown: Any, sources: Sequence[Source]) -> Mapping[str, Progress]:
    task = shown.add_task(f"{len(sources):,} files", total=None)
    bytes_of = dict.fromkeys((source.name for source in sources), 0)  # complete, as threads write while others sum

    def teller(name: str) -> Progress:
        def tell(done: int) -> None:
            bytes_of[name] = done
            shown.update(task, completed=sum(bytes_of.values()))

        return tell

    return {source.name: teller(source.name) for source in sources}
