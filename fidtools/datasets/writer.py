"""The folder of a data set: passages, train, dev and test questions, and `dataset.json` that describes them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fidtools
from fidtools.data.files import sync
from fidtools.data.hashes import file_sha256
from fidtools.data.jsonl import write_json, write_lines
from fidtools.data.locks import exclusive
from fidtools.data.outputs import final_path
from fidtools.data.records import Passage, Question
from fidtools.data.spread import SPLITS
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.recorded import INFO_FILE, described_files, recorded
from fidtools.errors import UsageError, named_when_full
from fidtools.logs import log, track

DRAFT, MOVING = ".draft", ".moving"


@dataclass
class DatasetInfo:
    """The contents of a data set. `published` are the split sizes in the papers, `notes` what was left out and why."""

    name: str
    published: dict[str, int] = field(default_factory=dict)
    questions: dict[str, int] = field(default_factory=dict)
    passages: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    def report(self) -> None:
        """Log the sizes, with a warning where they differ from the published ones."""
        for split, count in self.questions.items():
            known = self.published.get(split)
            if known is None:
                log.info("%s: %s questions", split, f"{count:,}")
            elif known == count:
                log.info("%s: %s questions, as published", split, f"{count:,}")
            else:
                log.warning("%s: %s questions; the published split has %s", split, f"{count:,}", f"{known:,}")
        log.info("%s passages", f"{self.passages:,}")
        for what, value in self.notes.items():
            log.info("%s: %s", what, value)


class DatasetWriter:
    """Writes the files of a data set into a staging folder."""

    def __init__(self, folder: Path, info: DatasetInfo) -> None:
        self.folder, self.info = folder, info

    def write_questions(self, split: str, questions: Iterable[Question]) -> None:
        """Write one split and count it."""
        records = (question.to_json() for question in track(questions, f"{split} questions"))
        self.info.questions[split] = write_lines(self.folder / f"{split}.jsonl", records)

    def write_passages(self, passages: Iterable[Passage]) -> None:
        """Write the corpus and count it."""
        records = (passage.to_json() for passage in track(passages, "passages"))
        self.info.passages = write_lines(self.folder / "passages.jsonl", records)

    def link(self, file: Path) -> None:
        """Add an existing file: as a hard link where the file system supports it, else as a copy."""
        try:
            os.link(file, self.folder / file.name)
        except OSError:
            shutil.copyfile(file, self.folder / file.name)


@contextmanager
def staged_folder(folder: Path, info: DatasetInfo, *, force: bool = False) -> Iterator[DatasetWriter]:
    """A writer whose files move into `folder` when the block succeeds; other files there stay as they are.

    Passages are moved last but for `dataset.json`, so that a folder with passages is complete. Of two processes the
    second waits. Raises UsageError for existing files that no `fetch` has written, unless `force` is set.
    """
    folder = final_path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder, "writing it"):
        hidden = folder / DRAFT
        if not force:
            refuse_own_files(folder)
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
        try:
            with named_when_full(folder, hidden):
                yield DatasetWriter(hidden, info)
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        _move(hidden, folder)


def _move(hidden: Path, folder: Path) -> None:
    for file in hidden.iterdir():
        sync(file)
    clear_moved(folder)
    hidden.rename(folder / MOVING)
    for file in sorted((folder / MOVING).iterdir(), key=_last_passages):
        os.replace(file, folder / file.name)
    clear_moved(folder)


def is_moving(folder: Path) -> bool:
    """Whether a fetch was killed while it moved its files into the folder."""
    return (folder / MOVING / INFO_FILE).exists()


def clear_moved(folder: Path) -> None:
    """Remove what a fetch that was killed has left beside its files."""
    shutil.rmtree(folder / MOVING, ignore_errors=True)


def _last_passages(file: Path) -> tuple[bool, bool]:
    return file.name == INFO_FILE, file.stem not in SPLITS


def refuse_own_files(folder: Path) -> None:
    """Raise UsageError when a file of a data set is there that no `fetch` has written or somebody has edited since.

    What a fetch that was killed has moved is known by the folder that it leaves.
    """
    if (folder / MOVING).exists():
        return
    hashes = recorded(folder, "sha256")
    own = [
        name
        for name in (*(f"{split}.jsonl" for split in SPLITS), "passages.jsonl", "psgs_w100.tsv")
        if (folder / name).exists() and not _is_fetched(folder / name, hashes)
    ]
    if own:
        problem = f"{folder} already holds {', '.join(own)}, which `fetch` has not written as it is"
        raise UsageError(problem, hint="choose another folder with -o, or --force to replace it")


def _is_fetched(file: Path, hashes: dict[str, str]) -> bool:
    return bool(hashes) and (file.name not in hashes or file_sha256(file) == hashes[file.name])


def write_info(folder: Path, info: DatasetInfo, sources: Iterable[str], downloads: Downloads | None) -> None:
    """Write `dataset.json`: the counts, the hashes and sizes, and the origin of the files."""
    receipts = {} if downloads is None else downloads.receipts.files
    write_json(
        folder / INFO_FILE,
        {
            "dataset": info.name,
            "fidtools": fidtools.__version__,
            "questions": info.questions,
            "published": info.published,
            "passages": info.passages,
            "notes": info.notes,
            **described_files(folder, info.questions),
            "sources": {
                name: {"url": r.url, "size": r.size, "sha256": r.sha256}
                for name in sources
                if (r := receipts.get(name)) is not None
            },
        },
    )
