"""SQuAD 1.1 (Rajpurkar et al. 2016) as an open corpus: every article in passages of 100 words, all of them searched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from fidtools.data.chunking import chunk
from fidtools.data.records import Passage, Question
from fidtools.datasets.dataset import Dataset
from fidtools.datasets.downloads import Downloads
from fidtools.datasets.writer import DatasetWriter
from fidtools.errors import DataError

TRAIN, DEV = "squad-train-v1.1.json", "squad-dev-v1.1.json"
SOURCES = (TRAIN, DEV)
PUBLISHED = {"test": 10_570}
WORDS = 100
EVERY = 10  # one article in ten of the original train set is for development
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Article:
    """A page with its paragraphs as published: {"context", "qas": [{"id", "question", "answers"}]}."""

    id: str
    title: str
    paragraphs: list[dict[str, Any]]

    @property
    def document(self) -> Passage:
        """The paragraphs one after the other."""
        return Passage(id=self.id, title=self.title, text="\n".join(p["context"] for p in self.paragraphs))


def write_squad(downloads: Downloads, available: set[str], writer: DatasetWriter) -> None:
    """Write the corpus of all articles; test is the original dev set, dev every tenth article of the original train."""
    train, test = (read_articles(downloads.path(name)) for name in SOURCES)
    dev = train[EVERY - 1 :: EVERY]
    kept = [article for number, article in enumerate(train, 1) if number % EVERY]
    for split, articles in {"train": kept, "dev": dev, "test": test}.items():
        writer.write_questions(split, (question for article in articles for question in questions(article)))
    passages = chunk((article.document for article in (*train, *test)), words=WORDS)
    writer.write_passages(replace(passage, doc_id=None) for passage in passages)


def read_articles(path: Path) -> list[Article]:
    """The articles of a SQuAD file. Raises DataError for another kind of file."""
    try:
        entries = orjson.loads(path.read_bytes())["data"]
        return [Article(e["title"], unquote(e["title"]).replace("_", " "), e["paragraphs"]) for e in entries]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"not a SQuAD file: {error!r}", path=path) from error


def questions(article: Article) -> Iterator[Question]:
    """The answerable questions of an article with their `gold` passages.

    Gold are the passages that contain a complete annotated answer. Where passage boundaries split every answer, gold
    are the passages with a part of one, and `gold_split` is true.
    """
    before = 0
    for paragraph in article.paragraphs:
        words = [match.span() for match in _WORD.finditer(paragraph["context"])]
        for entry in paragraph["qas"]:
            if entry["answers"]:
                yield _question(entry, article, words, before)
        before += len(words)


def _question(entry: dict[str, Any], article: Article, words: list[tuple[int, int]], before: int) -> Question:
    spans = [_passages(answer, words, before) for answer in entry["answers"]]
    whole = [numbers for numbers in spans if len(numbers) == 1]
    gold = sorted({number for numbers in whole or spans for number in numbers})
    return Question(
        id=entry["id"],
        question=" ".join(entry["question"].split()),
        answers=list(dict.fromkeys(answer["text"] for answer in entry["answers"])),
        extra={"gold": [f"{article.id}-{number}" for number in gold], "gold_split": not whole, "title": article.title},
    )


def _passages(answer: dict[str, Any], words: list[tuple[int, int]], before: int) -> range:
    """The numbers of the passages that an answer touches; `before` words come before its paragraph."""
    start = answer["answer_start"]
    stop = start + len(answer["text"])
    touched = [number for number, (first, last) in enumerate(words) if first < stop and last > start]
    return range((before + touched[0]) // WORDS, (before + touched[-1]) // WORDS + 1)


DATASETS = {"squad": Dataset(SOURCES, ("squad",), write_squad, PUBLISHED, folder_bytes=60_000_000)}
