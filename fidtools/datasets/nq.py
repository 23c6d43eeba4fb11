"""NaturalQuestions as an open-domain data set (Kwiatkowski et al. 2019; Lee et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fidtools.data.read import read_questions
from fidtools.data.records import Question
from fidtools.datasets.dataset import Dataset
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.splits import INDEX, train_and_dev
from fidtools.datasets.wikipedia import ARCHIVE, take_passages
from fidtools.datasets.writer import DatasetWriter

SOURCES = ("NQ-open.train.jsonl", "NQ-open.dev.jsonl", INDEX, ARCHIVE)
PUBLISHED = {"train": 79_168, "dev": 8_757, "test": 3_610}
LONGEST_ANSWER = 5  # tokens


def write_nq(downloads: Downloads, available: set[str], writer: DatasetWriter) -> None:
    """Write the standard split: test is the original dev set; train and dev come from the original train set.

    An id is the original file and row: `train-17`.
    """
    originals = list(numbered(downloads.path(SOURCES[0]), "train"))
    index = downloads.path(INDEX) if INDEX in available else None
    kept = 0
    for split, rows in zip(("train", "dev"), train_and_dev(index, "NQ", len(originals)), strict=True):
        writer.write_questions(split, short_answers(originals[row] for row in rows))
        kept += writer.info.questions[split]
    writer.info.notes[f"discarded, no answer of at most {LONGEST_ANSWER} tokens"] = len(originals) - kept
    writer.write_questions("test", numbered(downloads.path(SOURCES[1]), "test"))
    take_passages(downloads, writer)


def numbered(path: Path, name: str) -> Iterator[Question]:
    """The questions of an NQ-open file with ids of `name` and the row, from 0."""
    for row, question in enumerate(read_questions(path)):
        question.id = f"{name}-{row}"
        yield question


def short_answers(questions: Iterable[Question]) -> Iterator[Question]:
    """The questions with only their answers of at most five tokens; those with no such answer are discarded (A.1).

    The published files have no longer answers. Test questions are never filtered.
    """
    for question in questions:
        question.answers = [a for a in question.answers or [] if len(a.split()) <= LONGEST_ANSWER]
        if question.answers:
            yield question


DATASETS = {"nq": Dataset(SOURCES, ("nq", "index", "wikipedia"), write_nq, PUBLISHED, folder_bytes=13_800_000_000)}
