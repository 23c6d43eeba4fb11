"""TriviaQA, the unfiltered questions, as an open-domain data set (Joshi et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fidtools.data.records import Question
from fidtools.datasets.dataset import Dataset
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.splits import INDEX, train_and_dev
from fidtools.datasets.wikipedia import ARCHIVE, take_passages
from fidtools.datasets.writer import DatasetWriter
from fidtools.formats.archives import member
from fidtools.formats.reading_comprehension import read_triviaqa_member

QUESTIONS = "triviaqa-unfiltered.tar.gz"
SOURCES = (QUESTIONS, INDEX, ARCHIVE)
PUBLISHED = {"train": 78_785, "dev": 8_837, "test": 11_313}


def write_triviaqa(downloads: Downloads, available: set[str], writer: DatasetWriter) -> None:
    """Write the standard split: test is the original dev set; train and dev come from the original train set."""
    archive = downloads.path(QUESTIONS)
    originals = list(read_split(archive, "unfiltered-web-train.json"))
    index = downloads.path(INDEX) if INDEX in available else None
    for split, rows in zip(("train", "dev"), train_and_dev(index, "TQA", len(originals)), strict=True):
        writer.write_questions(split, (originals[row] for row in rows))
    writer.write_questions("test", read_split(archive, "unfiltered-web-dev.json"))
    take_passages(downloads, writer)


def read_split(archive: Path, name: str) -> Iterator[Question]:
    """The questions of one file of the archive, one at a time, as the file also has 3 GB of search results.

    `answers` are all aliases, `target` is the annotated answer, in title case where it was in capitals (A.1).
    """
    with member(archive, name) as stream:
        for question in read_triviaqa_member(stream, f"{archive}/{name}"):
            question.extra = {}
            yield question


DATASETS = {
    "triviaqa": Dataset(
        SOURCES, ("triviaqa", "index", "wikipedia"), write_triviaqa, PUBLISHED, folder_bytes=13_900_000_000
    )
}
