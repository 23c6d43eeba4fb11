"""Reading-comprehension data sets as published: SQuAD, TriviaQA, QED."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import PurePosixPath
from typing import IO

from fidtools.data.files import PathLike
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError
from fidtools.formats.archives import members
from fidtools.formats.detection import keys
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.json_records import Record, adapted, distinct, omit, parse_adapted
from fidtools.formats.parsing import json_items, read_json_items
from fidtools.formats.signatures import is_tar

FIRST_FILES = 1000


def triviaqa(record: Record) -> Record:
    """A TriviaQA question: `answers` are the aliases, `target` the value, as FiD takes them; `Answer` is kept."""
    answer = record.get("Answer")
    ours = {**omit(record, "Question", "QuestionId"), "id": record["QuestionId"], "question": record["Question"]}
    if answer is None:
        return ours
    value = answer["Value"]
    return {**ours, "answers": answer["Aliases"], "target": value.title() if value.isupper() else value}


def read_triviaqa(path: PathLike) -> Iterator[Question]:
    """The questions of a TriviaQA document (`{"Data": […], …}`), one at a time."""
    for number, record in read_json_items(path, "Data.item"):
        where = Location(path, number)
        if not isinstance(record, dict):
            raise where.error("must be an object", "Data", record)
        yield parse_adapted(triviaqa, record, where)


def read_triviaqa_member(stream: IO[bytes], path: PathLike) -> Iterator[Question]:
    """The questions of an open TriviaQA document; `path` names it in messages."""
    for number, record in json_items(stream, "Data.item", path):
        yield parse_adapted(triviaqa, record, Location(path, number))


def read_triviaqa_archive(path: PathLike) -> Iterator[Question]:
    """The questions of TriviaQA's RC archive, from every `qa/*.json` in it; `file` names the one it comes from."""
    found = False
    for name, stream in members(path, "qa/*.json"):
        found = True
        for question in read_triviaqa_member(stream, f"{path}/{name}"):
            question.extra["file"] = name.rpartition("/")[2]
            yield question
    if not found:
        raise DataError("contains no qa/*.json", path=path)


def read_squad(path: PathLike) -> Iterator[Question]:
    """SQuAD 1.1 and 2.0: every question with its distinct answers; `spans` are all of them with their offsets, `gold`
    is the paragraph's id. A question without an id gets the paragraph's and its place, from 0 ("0-12-3").
    """
    for where, name, title, paragraph in _squad_paragraphs(path):
        for position, qa in enumerate(paragraph.get("qas") or []):
            yield parse_adapted(partial(_squad, paragraph=name, title=title, position=position), qa, where)


def _squad(record: Record, paragraph: str, title: str, position: int) -> Record:
    spans = record.get("answers") or []
    answers = distinct(span["text"] for span in spans)
    name = record.get("id", "")
    if name == "":
        name = f"{paragraph}-{position}"
    return {**record, "id": name, "answers": answers, "spans": spans, "gold": [paragraph], "title": title}


def read_squad_paragraphs(path: PathLike) -> Iterator[Passage]:
    """The paragraphs of SQuAD as passages; the id is article and paragraph, both from 0 ("0-12")."""
    for where, name, title, paragraph in _squad_paragraphs(path):
        text = paragraph.get("context")
        if not isinstance(text, str):
            raise where.error("missing", "context", text)
        yield Passage(id=name, title=title.replace("_", " "), text=text)


def _squad_paragraphs(path: PathLike) -> Iterator[tuple[Location, str, str, Record]]:
    """Every paragraph with its place, its id and its article's title."""
    for number, article in read_json_items(path, "data.item"):
        where = Location(path, number)
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list) or not all(isinstance(p, dict) for p in paragraphs):
            raise where.error("must be a list of objects", "paragraphs", paragraphs)
        for position, paragraph in enumerate(paragraphs):
            yield where, f"{number - 1}-{position}", str(article.get("title") or ""), paragraph


def qed(record: Record) -> Record:
    """QED: a Natural Question with the paragraph that answers it, as its one passage; the spans are kept."""
    answers = distinct(span["string"] for spans in record["original_nq_answers"] for span in spans)
    passage = {"title": record["title_text"], "text": record["paragraph_text"]}
    rest = omit(record, "example_id", "question_text", "title_text", "paragraph_text")
    ours = {"id": record["example_id"], "question": record["question_text"], "answers": answers, "ctxs": [passage]}
    return {**rest, **ours}


def _is_triviaqa_archive(head: Head) -> bool:
    """A tar archive with one of TriviaQA's two folders among its first files, or a damaged one, which reading names."""
    if not is_tar(head):
        return False
    try:
        first = [PurePosixPath(name).parts for name, _ in islice(members(head.path, "*"), FIRST_FILES)]
    except DataError:
        return True
    return any("qa" in parts or "evidence" in parts for parts in first)


FORMATS = (
    Format(
        "triviaqa-archive",
        "questions",
        "TriviaQA's RC archive",
        detect=_is_triviaqa_archive,
        read=read_triviaqa_archive,
    ),
    Format(
        "triviaqa",
        "questions",
        "TriviaQA, filtered or not",
        detect=keys("Data.item.Question"),
        read=read_triviaqa,
    ),
    Format(
        "squad",
        "questions",
        "SQuAD 1.1 or 2.0",
        detect=keys("data.item.paragraphs.item.context"),
        read=read_squad,
    ),
    Format(
        "squad-paragraphs",
        "passages",
        "SQuAD's paragraphs (needs --from)",
        read=read_squad_paragraphs,
    ),
    Format(
        "qed",
        "questions",
        "QED: Natural Questions with their paragraph",
        detect=keys("question_text", "paragraph_text"),
        read=adapted(qed),
    ),
)
