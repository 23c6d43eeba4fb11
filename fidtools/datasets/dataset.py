"""What a downloaded data set is. Every module of a data set lists its own in `DATASETS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fidtools.datasets.downloads import Downloads
from fidtools.datasets.writer import DatasetWriter


@dataclass(frozen=True)
class Dataset:
    """One data set.

    `sources` are the names of its files in `urls.TABLE`, `licences` those in `urls.LICENCES`, `published` the sizes of
    its splits in the papers, `folder_bytes` the disk space of the written folder. `write` takes the downloads, the
    names of the files that are available, and the writer.
    """

    sources: tuple[str, ...]
    licences: tuple[str, ...]
    write: Callable[[Downloads, set[str], DatasetWriter], None]
    published: dict[str, int] = field(default_factory=dict)
    folder_bytes: int = 0
