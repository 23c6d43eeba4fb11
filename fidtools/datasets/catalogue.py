"""Makes a data set by name: downloads its files, checks them, and writes its folder."""

from __future__ import annotations

import importlib
from pathlib import Path

from fidtools.data.locks import clear_lock
from fidtools.data.outputs import final_path
from fidtools.datasets.dataset import Dataset
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.names import MODULES
from fidtools.datasets.receipts import human_size
from fidtools.datasets.recorded import INFO_FILE, refuse_damage, refuse_other_dataset
from fidtools.datasets.urls import LICENCES, Download
from fidtools.datasets.writer import DatasetInfo, clear_moved, is_moving, refuse_own_files, staged_folder, write_info
from fidtools.errors import DataError
from fidtools.logs import log


def dataset_named(name: str) -> Dataset:
    """The downloaded data set of that name."""
    module = importlib.import_module(f"fidtools.datasets.{MODULES[name]}")
    found: Dataset = module.DATASETS[name]
    return found


def fetch(
    name: str, folder: Path, downloads: Downloads, table: dict[str, Download], *, force: bool = False
) -> DatasetInfo:
    """Download what the data set needs, check it, and write its folder.

    Raises FidtoolsError when a file is unavailable, DataError when one is not as published, UsageError when the folder
    holds files of a data set that `fetch` has not written (unless `force`).
    """
    dataset = dataset_named(name)
    if not force:
        refuse_own_files(folder)
    for licence in dataset.licences:
        log.info("%s", LICENCES[licence])
    available = downloads.fetch(table[source] for source in dataset.sources)
    info = DatasetInfo(name, dataset.published)
    with staged_folder(folder, info, force=force) as writer:
        try:
            dataset.write(downloads, available, writer)
        except DataError as error:
            raise _telling_to_fetch_again(error, downloads) from error
        write_info(writer.folder, info, dataset.sources, downloads)
    info.report()
    return info


def _telling_to_fetch_again(error: DataError, downloads: Downloads) -> DataError:
    """The error of a downloaded file that cannot be read, such as the page of a proxy that came in its place."""
    if error.hint is None and error.path is not None and Path(error.path).parent == downloads.folder:
        error.hint = "remove it and run this again, which fetches it again"
    return error


def is_complete(folder: Path, name: str, seed: int) -> bool:
    """Whether the folder holds the complete data set; `seed` is that of one that is generated.

    Raises UsageError where it is another one, DataError where a file is missing or not as it was written.
    """
    if not (folder / INFO_FILE).exists() or is_moving(folder):
        return False
    refuse_other_dataset(folder, name, seed if name == "toy" else None)
    refuse_damage(folder)
    clear_moved(folder)
    clear_lock(final_path(folder))
    return True


def write_toy(folder: Path, seed: int, *, force: bool = False) -> DatasetInfo:
    """Generate the toy world into the folder: the same seed gives the same bytes."""
    from fidtools.datasets import toy

    info = DatasetInfo("toy", notes={"seed": seed})
    with staged_folder(folder, info, force=force) as writer:
        world = toy.write(writer.folder, seed=seed)
        info.questions = {split: len(questions) for split, questions in world.questions.items()}
        info.passages = len(world.passages)
        write_info(writer.folder, info, (), None)
    info.report()
    return info


def plan(name: str, folder: Path, downloads: Downloads, table: dict[str, Download]) -> str:
    """What `fetch` would do, as lines: every file with its size and state, and the disk space of all."""
    dataset = dataset_named(name)
    sources = [downloads.resolved(table[source]) for source in dataset.sources]
    missing = {source.name for source in downloads.missing(sources)}
    lines = [
        f"{source.name}\t{human_size(source.size) if source.size is not None else 'size unknown'}\t"
        f"{'to fetch' if source.name in missing else 'there'}\t{source.url}"
        for source in sources
    ]
    to_fetch = sum(source.size or 0 for source in sources if source.name in missing)
    lines += [
        f"downloads: {human_size(to_fetch)} to {downloads.folder}",
        f"data set: about {human_size(dataset.folder_bytes)} in {folder}",
    ]
    return "\n".join(lines) + "\n"
