"""NarrativeQA (Kočiský et al. 2018): questions about one book or script each, answered from the whole story."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fidtools.chunking import chunk
from fidtools.datasets.archives import members
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.folder import Draft
from fidtools.datasets.sources import Source
from fidtools.datasets.stories import story_text, unescaped
from fidtools.errors import DataError
from fidtools.records import Passage, Question
from fidtools.tables import LONGEST_FIELD

DOCUMENTS, QUESTIONS, SUMMARIES, STORIES = (
    "narrativeqa-documents.csv",
    "narrativeqa-qaps.csv",
    "narrativeqa-summaries.csv",
    "narrativeqa-stories.zip",
)
PUBLISHED = {"train": 32_747, "dev": 3_461, "test": 10_557}
SPLITS = {"train": "train", "dev": "valid", "test": "test"}
WORDS = 100


@dataclass(frozen=True)
class Story:
    """A row of documents.csv: where a story is, and the tokens it starts and ends with."""

    id: str
    title: str
    url: str
    start: str
    end: str

    @property
    def source(self) -> Source:
        """The story's own address. Many of the script sites are gone, so it may fail."""
        return Source(f"narrativeqa-story-{self.id}", self.url, optional=True)


def from_archive(downloads: Downloads, available: set[str], draft: Draft) -> None:
    """Write the full-story setting of the paper, from the archive of all stories as they were downloaded in 2018."""
    stories = read_stories(downloads.path(DOCUMENTS))
    files = members(downloads.path(STORIES), "*.content")
    raw = ((stories[Path(name).stem], stream.read()) for name, stream in files if Path(name).stem in stories)
    _write(downloads, draft, _cleaned(raw, draft))


def from_addresses(downloads: Downloads, available: set[str], draft: Draft) -> None:
    """Write the full-story setting from each story's own address; those that cannot be had are left out."""
    stories = read_stories(downloads.path(DOCUMENTS))
    there = downloads.fetch(story.source for story in stories.values())
    found = (story for story in stories.values() if story.source.name in there)
    _write(
        downloads, draft, _cleaned(((story, downloads.path(story.source.name).read_bytes()) for story in found), draft)
    )


def from_summaries(downloads: Downloads, available: set[str], draft: Draft) -> None:
    """Write the easier setting: the questions over Wikipedia's summary of each story."""
    rows = read_csv(downloads.path(SUMMARIES), ("document_id", "summary"))
    _write(downloads, draft, (Passage(id=row["document_id"], text=unescaped(row["summary"])) for row in rows))


def _cleaned(raw: Iterable[tuple[Story, bytes]], draft: Draft) -> Iterator[Passage]:
    unmarked = 0
    for story, data in raw:
        text, found = story_text(data, story.start, story.end)
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
    """The questions of one set (train, valid, test) of qaps.csv, with ids by story and number in it."""
    numbers: Counter[str] = Counter()
    for row in read_csv(path, ("document_id", "set", "question", "answer1", "answer2")):
        story = row["document_id"]
        if row["set"] == name:
            answers = [plain_case(unescaped(row[field])) for field in ("answer1", "answer2")]
            yield Question(
                id=f"{story}-q{numbers[story]}",
                question=plain_case(unescaped(row["question"])),
                answers=[answer for answer in answers if answer],
                doc_id=story,
            )
        numbers[story] += 1


def plain_case(text: str) -> str:
    """Text all in capitals in lower case; other text as it is (A.1)."""
    return text.lower() if text.isupper() else text


def read_stories(path: Path) -> dict[str, Story]:
    """The stories of documents.csv by id."""
    columns = ("document_id", "wiki_title", "story_url", "story_start", "story_end")
    return {row["document_id"]: Story(*(row[column] for column in columns)) for row in read_csv(path, columns)}


def read_csv(path: Path, columns: Iterable[str]) -> Iterator[dict[str, str]]:
    """The rows of a comma-separated file with a header. Raises DataError for a missing column and for a short row."""
    csv.field_size_limit(LONGEST_FIELD)
    wanted = set(columns)
    with open(path, encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        if missing := wanted - set(rows.fieldnames or ()):
            raise DataError(f"no column {', '.join(sorted(missing))}", path=path, line=1, value=rows.fieldnames)
        for row in rows:
            if any(row[column] is None for column in wanted):
                raise DataError("too few columns", path=path, line=rows.line_num, value=row["document_id"])
            yield row
