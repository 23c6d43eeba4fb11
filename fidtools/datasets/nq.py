"""NaturalQuestions as an open-domain data set (Kwiatkowski et al. 2019; Lee et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fidtools.data.read import read_questions
from fidtools.data.records import Question
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.splits import INDEX, train_and_dev
from fidtools.datasets.wikipedia import ARCHIVE, take_passages
from fidtools.datasets.writer import Draft

SOURCES = ("NQ-open.train.jsonl", "NQ-open.dev.jsonl", INDEX, ARCHIVE)
PUBLISHED = {"train": 79_168, "dev": 8_757, "test": 3_610}
LONGEST_ANSWER = 5  # tokens


def normalise(downloads: Downloads, available: set[str], draft: Draft) -> None:
    """Write the standard split: test is the original dev set; train and dev come from the original train set.

    An id is the original file and row: `train-17`.
    """
    originals = list(numbered(downloads.path(SOURCES[0]), "train"))
    index = downloads.path(INDEX) if INDEX in available else None
    kept = 0
    for split, rows in zip(("train", "dev"), train_and_dev(index, "NQ", len(originals)), strict=True):
        draft.write_questions(split, short_answers(originals[row] for row in rows))
        kept += draft.card.questions[split]
    draft.card.notes[f"discarded, no answer of at most {LONGEST_ANSWER} tokens"] = len(originals) - kept
    draft.write_questions("test", numbered(downloads.path(SOURCES[1]), "test"))
    take_passages(downloads, draft)


def numbered(path: Path, name: str) -> Iterator[Question]:
    """The questions of an NQ-open file with ids made of `name` and the row, from 0."""
    for row, question in enumerate(read_questions(path)):
        question.id = f"{name}-{row}"
        yield question


def short_answers(questions: Iterable[Question]) -> Iterator[Question]:
    """The questions without their answers of more than five tokens, and without those that have no other (A.1).

    The published files are so already; the test questions are never touched.
    """
    for question in questions:
        question.answers = [a for a in question.answers or [] if len(a.split()) <= LONGEST_ANSWER]
        if question.answers:
            yield question
