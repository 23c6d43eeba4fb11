"""Progress bars of downloads, on stderr when it is a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fidtools.datasets.transfer import Progress
from fidtools.datasets.urls import Download
from fidtools.errors import printable
from fidtools.logs import bars_are_shown, new_progress

MAX_LISTED = 12  # files that are shown and logged one by one


@contextmanager
def progress_bars(sources: Sequence[Download]) -> Iterator[Mapping[str, Progress]]:
    """Progress callbacks by file name: a bar with rate and time left for each file, or one bar for many files."""
    if not (sources and bars_are_shown()):
        yield {source.name: lambda done: None for source in sources}
        return
    from rich import progress as rich

    columns = (
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(),
        rich.DownloadColumn(),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    with new_progress(*columns) as shown:
        if len(sources) <= MAX_LISTED:
            yield {source.name: _own(shown, source) for source in sources}
        else:
            yield _together(shown, sources)


def _own(shown: Any, source: Download) -> Progress:
    task = shown.add_task(printable(source.name), total=source.size)
    return lambda done: shown.update(task, completed=done)


def _together(shown: Any, sources: Sequence[Download]) -> Mapping[str, Progress]:
    task = shown.add_task(f"{len(sources):,} files", total=None)
    bytes_of = dict.fromkeys((source.name for source in sources), 0)  # all keys: threads set while others sum

    def callback(name: str) -> Progress:
        def update(done: int) -> None:
            bytes_of[name] = done
            shown.update(task, completed=sum(bytes_of.values()))

        return update

    return {source.name: callback(source.name) for source in sources}
