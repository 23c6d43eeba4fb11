"""NarrativeQA (Kočiský et al. 2018): questions about one book or script each, answered from the whole story."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fidtools.data.chunking import chunk
from fidtools.data.records import Passage, Question
from fidtools.datasets.dataset import Dataset
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.stories import MAX_STORY_BYTES, story_text, unescaped
from fidtools.datasets.urls import Download
from fidtools.datasets.writer import DatasetWriter
from fidtools.formats.archives import members
from fidtools.formats.narrativeqa_files import read_narrativeqa, read_narrativeqa_documents, read_narrativeqa_summaries

DOCUMENTS, QUESTIONS, SUMMARIES, STORIES = (
    "narrativeqa-documents.csv",
    "narrativeqa-qaps.csv",
    "narrativeqa-summaries.csv",
    "narrativeqa-stories.zip",
)
PUBLISHED = {"train": 32_747, "dev": 3_461, "test": 10_557}
SPLITS = {"train": "train", "dev": "valid", "test": "test"}
WORDS = 100


RawStories = Iterable[tuple[Passage, bytes]]  # a row of documents.csv, and the file downloaded from its address


def from_archive(downloads: Downloads, available: set[str], writer: DatasetWriter) -> None:
    """Write the full-story setting of the paper, from the archive of all stories as they were downloaded in 2018."""
    stories = _stories(downloads)
    files = members(downloads.path(STORIES), "*.content")
    raw = (
        (stories[Path(name).stem], stream.read(MAX_STORY_BYTES)) for name, stream in files if Path(name).stem in stories
    )
    _write(downloads, writer, _cleaned(raw, writer))


def from_addresses(downloads: Downloads, available: set[str], writer: DatasetWriter) -> None:
    """Write the full-story setting from each story's own address; unavailable ones are left out."""
    stories = {download_of(story).name: story for story in _stories(downloads).values()}
    there = downloads.fetch(download_of(story) for story in stories.values())
    raw = ((story, downloads.path(name).read_bytes()) for name, story in stories.items() if name in there)
    _write(downloads, writer, _cleaned(raw, writer))


def from_summaries(downloads: Downloads, available: set[str], writer: DatasetWriter) -> None:
    """Write the easier setting: the questions over Wikipedia's summary of each story."""
    summaries = read_narrativeqa_summaries(downloads.path(SUMMARIES))
    _write(downloads, writer, (Passage(id=summary.id, text=unescaped(summary.text)) for summary in summaries))


def _stories(downloads: Downloads) -> dict[str, Passage]:
    return {str(story.id): story for story in read_narrativeqa_documents(downloads.path(DOCUMENTS))}


def download_of(story: Passage) -> Download:
    """A story at its own address. Optional, as many of the script sites are gone."""
    return Download(f"narrativeqa-story-{story.id}", story.extra["story_url"], optional=True, limit=MAX_STORY_BYTES)


def _cleaned(raw: RawStories, writer: DatasetWriter) -> Iterator[Passage]:
    unmarked = 0
    for story, data in raw:
        text, found = story_text(data, story.extra["story_start"], story.extra["story_end"])
        unmarked += not found
        yield Passage(id=story.id, text=text)
    writer.info.notes["stories without their start or end marker, not cut on that side"] = unmarked


def _write(downloads: Downloads, writer: DatasetWriter, documents: Iterable[Passage]) -> None:
    """Write passages of 100 words, without titles as in the paper, and the questions about stories that have text."""
    with_text: set[str] = set()

    def passages() -> Iterator[Passage]:
        for passage in chunk(documents, words=WORDS):
            with_text.add(str(passage.doc_id))
            yield passage

    writer.write_passages(passages())
    read = 0
    for split, name in SPLITS.items():
        questions = list(questions_of(downloads.path(QUESTIONS), name))
        read += len(questions)
        writer.write_questions(split, (question for question in questions if question.doc_id in with_text))
    writer.info.notes["stories"] = len(with_text)
    writer.info.notes["questions left out, their story is unavailable"] = read - sum(writer.info.questions.values())


def questions_of(path: Path, name: str) -> Iterator[Question]:
    """The questions of one set (train, valid, test) of qaps.csv, without texts in capitals and empty answers."""
    for question in read_narrativeqa(path):
        if question.extra["set"] == name:
            question.question = plain_case(unescaped(question.question))
            question.answers = [plain_case(unescaped(answer)) for answer in question.answers or [] if answer.strip()]
            question.extra = {}
            yield question


def plain_case(text: str) -> str:
    """Text in capitals, lower-cased; other text unchanged (A.1)."""
    return text.lower() if text.isupper() else text


_TABLES = (DOCUMENTS, QUESTIONS)
DATASETS = {
    "narrativeqa": Dataset(
        (*_TABLES, STORIES), ("narrativeqa", "stories"), from_archive, PUBLISHED, folder_bytes=700_000_000
    ),
    "narrativeqa-web": Dataset(
        _TABLES, ("narrativeqa", "stories"), from_addresses, PUBLISHED, folder_bytes=1_300_000_000
    ),
    "narrativeqa-summaries": Dataset(
        (*_TABLES, SUMMARIES), ("narrativeqa", "summaries"), from_summaries, PUBLISHED, folder_bytes=20_000_000
    ),
}
