"""NarrativeQA (Kočiský et al. 2018): questions about one book or script each, answered from the whole story."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fidtools.data.chunking import chunk
from fidtools.data.records import Passage, Question
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.stories import story_text, unescaped
from fidtools.datasets.urls import Source
from fidtools.datasets.writer import Draft
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


Raw = Iterable[tuple[Passage, bytes]]  # a row of documents.csv, and the file that was found under its address


def from_archive(downloads: Downloads, available: set[str], draft: Draft) -> None:
    """Write the full-story setting of the paper, from the archive of all stories as they were downloaded in 2018."""
    stories = _stories(downloads)
    files = members(downloads.path(STORIES), "*.content")
    raw = ((stories[Path(name).stem], stream.read()) for name, stream in files if Path(name).stem in stories)
    _write(downloads, draft, _cleaned(raw, draft))


def from_addresses(downloads: Downloads, available: set[str], draft: Draft) -> None:
    """Write the full-story setting from each story's own address; those that cannot be had are left out."""
    stories = {source(story).name: story for story in _stories(downloads).values()}
    there = downloads.fetch(source(story) for story in stories.values())
    raw = ((story, downloads.path(name).read_bytes()) for name, story in stories.items() if name in there)
    _write(downloads, draft, _cleaned(raw, draft))


def from_summaries(downloads: Downloads, available: set[str], draft: Draft) -> None:
    """Write the easier setting: the questions over Wikipedia's summary of each story."""
    summaries = read_narrativeqa_summaries(downloads.path(SUMMARIES))
    _write(downloads, draft, (Passage(id=summary.id, text=unescaped(summary.text)) for summary in summaries))


def _stories(downloads: Downloads) -> dict[str, Passage]:
    return {str(story.id): story for story in read_narrativeqa_documents(downloads.path(DOCUMENTS))}


def source(story: Passage) -> Source:
    """A story's own address. Many of the script sites are gone, so it may fail."""
    return Source(f"narrativeqa-story-{story.id}", story.extra["story_url"], optional=True)


def _cleaned(raw: Raw, draft: Draft) -> Iterator[Passage]:
    unmarked = 0
    for story, data in raw:
        text, found = story_text(data, story.extra["story_start"], story.extra["story_end"])
        unmarked += not found
        yield Passage(id=story.id, text=text)
    draft.card.notes["stories without their start or end marker, kept whole on that side"] = unmarked


def _write(downloads: Downloads, draft: Draft, documents: Iterable[Passage]) -> None:
    """Write passages of 100 words, without titles as in the paper, and the questions about stories that have text."""
    with_text: set[str] = set()

    def passages() -> Iterator[Passage]:
        for passage in chunk(documents, words=WORDS):
            with_text.add(str(passage.doc_id))
            yield passage

    draft.write_passages(passages())
    read = 0
    for split, name in SPLITS.items():
        questions = list(questions_of(downloads.path(QUESTIONS), name))
        read += len(questions)
        draft.write_questions(split, (question for question in questions if question.doc_id in with_text))
    draft.card.notes["stories"] = len(with_text)
    draft.card.notes["questions left out, their story is not to be had"] = read - sum(draft.card.questions.values())


def questions_of(path: Path, name: str) -> Iterator[Question]:
    """The questions of one set (train, valid, test) of qaps.csv, in plain case, without empty answers."""
    for question in read_narrativeqa(path):
        if question.extra["set"] == name:
            question.question = plain_case(unescaped(question.question))
            question.answers = [plain_case(unescaped(answer)) for answer in question.answers or [] if answer.strip()]
            question.extra = {}
            yield question


def plain_case(text: str) -> str:
    """Text all in capitals in lower case; other text as it is (A.1)."""
    return text.lower() if text.isupper() else text
