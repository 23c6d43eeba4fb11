"""The folder of a data set: passages, train, dev and test questions, and `dataset.json` that says what they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fidtools
from fidtools.data.jsonl import write_json, write_lines
from fidtools.data.records import Passage, Question
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.transfer import file_sha256
from fidtools.logs import log, track

SPLITS = ("train", "dev", "test")
CARD = "dataset.json"


@dataclass
class Card:
    """What a data set holds. `published` are the sizes known from the papers, `notes` what was left out and why."""

    name: str
    published: dict[str, int] = field(default_factory=dict)
    questions: dict[str, int] = field(default_factory=dict)
    passages: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    def report(self) -> None:
        """Say the sizes, and warn where they are not the published ones."""
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


class Draft:
    """The files of a data set while they are written, in a hidden folder beside their place."""

    def __init__(self, folder: Path, card: Card) -> None:
        self.folder, self.card = folder, card

    def write_questions(self, split: str, questions: Iterable[Question]) -> None:
        """Write one split and count it."""
        records = (question.to_json() for question in track(questions, f"{split} questions"))
        self.card.questions[split] = write_lines(self.folder / f"{split}.jsonl", records)

    def write_passages(self, passages: Iterable[Passage]) -> None:
        """Write the corpus and count it."""
        records = (passage.to_json() for passage in track(passages, "passages"))
        self.card.passages = write_lines(self.folder / "passages.jsonl", records)

    def link(self, file: Path) -> None:
        """Take a file as it is: a second name of it where the file system has that, else a copy."""
        try:
            os.link(file, self.folder / file.name)
        except OSError:
            shutil.copyfile(file, self.folder / file.name)


@contextmanager
def drafting(folder: Path, card: Card) -> Iterator[Draft]:
    """A draft that becomes the contents of `folder` when the block ends well; other files there are left alone.

    Passages come last, so that whoever finds them finds everything, and `dataset.json` after them.
    """
    hidden = folder / ".draft"
    shutil.rmtree(hidden, ignore_errors=True)
    hidden.mkdir(parents=True)
    try:
        yield Draft(hidden, card)
        for file in sorted(hidden.iterdir(), key=lambda path: path.stem not in SPLITS):
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def write_card(folder: Path, card: Card, sources: Iterable[str], downloads: Downloads | None) -> None:
    """Keep the counts, the hashes of the questions, and where the files came from, in `dataset.json`."""
    receipts = {} if downloads is None else downloads.receipts
    files = {split: f"{split}.jsonl" for split in card.questions}
    write_json(
        folder / CARD,
        {
            "dataset": card.name,
            "fidtools": fidtools.__version__,
            "questions": card.questions,
            "published": card.published,
            "passages": card.passages,
            "notes": card.notes,
            "sha256": {name: file_sha256(folder / name) for name in files.values()},
            "sources": {
                name: {"url": r.url, "size": r.size, "sha256": r.sha256}
                for name in sources
                if (r := receipts.get(name)) is not None
            },
        },
    )


Normalise = Callable[[Downloads, set[str], Draft], None]
