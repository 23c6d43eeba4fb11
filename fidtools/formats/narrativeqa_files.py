"""NarrativeQA's tables."""

from __future__ import annotations

from collections.abc import Iterator

from fidtools.data.files import PathLike
from fidtools.data.records import Location, Passage, Question
from fidtools.formats.detection import header
from fidtools.formats.format import Format
from fidtools.formats.parsing import read_records, require_text

QUESTION_COLUMNS = ("document_id", "set", "question", "answer1", "answer2")
DOCUMENT_COLUMNS = ("document_id", "set", "kind", "story_url", "wiki_title")
SUMMARY_COLUMNS = ("document_id", "set", "summary")


def read_narrativeqa(path: PathLike) -> Iterator[Question]:
    """NarrativeQA's qaps.csv: two answers each; `doc_id` is the story, `set` train, valid or test."""
    position: dict[str, int] = {}
    for number, row in read_records(path, ",", QUESTION_COLUMNS):
        where = Location(path, number)
        story = row.pop("document_id")
        position[story] = position.get(story, -1) + 1
        text = require_text(row.pop("question"), "question", where)
        answers = [row.pop("answer1"), row.pop("answer2")]
        name = f"{story}-{position[story]}"
        yield Question(id=name, question=text, answers=answers, doc_id=story, extra=dict(row), location=where)


def read_narrativeqa_summaries(path: PathLike) -> Iterator[Passage]:
    """NarrativeQA's summaries.csv as documents, for `fidtools chunk`."""
    for _, row in read_records(path, ",", SUMMARY_COLUMNS):
        story = row.pop("document_id")
        yield Passage(id=story, text=row.pop("summary"), doc_id=story, extra=dict(row))


def read_narrativeqa_documents(path: PathLike) -> Iterator[Passage]:
    """NarrativeQA's documents.csv: the metadata of each story; its text is in another file and stays empty here."""
    for _, row in read_records(path, ",", DOCUMENT_COLUMNS):
        story = row.pop("document_id")
        yield Passage(id=story, text="", title=row.pop("wiki_title"), doc_id=story, extra=dict(row))


FORMATS = (
    Format(
        "narrativeqa",
        "questions",
        "NarrativeQA's qaps.csv",
        detect=header(*QUESTION_COLUMNS),
        read=read_narrativeqa,
    ),
    Format(
        "narrativeqa-summaries",
        "passages",
        "NarrativeQA's summaries.csv",
        detect=header(*SUMMARY_COLUMNS),
        read=read_narrativeqa_summaries,
    ),
    Format(
        "narrativeqa-documents",
        "passages",
        "NarrativeQA's documents.csv",
        detect=header(*DOCUMENT_COLUMNS),
        read=read_narrativeqa_documents,
    ),
)
