"""JSON objects to records: the spellings of other tools are accepted, and wrong types are errors with file and line."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from fidtools.data.list_text import LIST_HINT, is_broken_list, parse_columns_text, parse_list_text
from fidtools.data.number_text import number_of
from fidtools.data.records import Location, Passage, Question

CTXS = ("ctxs", "contexts", "context", "passages")
ANSWERS = ("answers", "answer", "golden_answers", "ground_truth", "possible_answers")
PASSAGE_ID = ("id", "docid", "passage_id", "_id", "pid")
TEXT = ("text", "contents", "content")
QUESTION_ID = ("id", "_id", "qid", "question_id")
QUESTION = ("question", "query", "claim", "input")


def parse_question(record: dict[str, Any], where: Location) -> Question:
    """A Question from one JSON object. The id falls back to the line number, from 0 as in FiD's files.

    Raises DataError when the question is missing or a field has the wrong type.
    """
    rest = dict(record)
    _, text = _take(rest, QUESTION)
    if not isinstance(text, str) or not text.strip():
        problem = "missing" if text is None else "must be a non-empty string"
        raise where.error(problem, "question", text, hint=f"the fields of this record: {', '.join(record)}"[:200])
    ctxs = _take(rest, CTXS)
    return Question(
        id=_identifier(_take(rest, QUESTION_ID), where) or str(where.line - 1),
        question=text,
        answers=_answers(_take(rest, ANSWERS), where),
        target=_optional_string(rest, "target", where),
        doc_id=_identifier(("doc_id", rest.pop("doc_id", None)), where),
        ctxs=None if ctxs[1] is None else _passages(*ctxs, where),
        prediction=_optional_string(rest, "prediction", where),
        extra=rest,
        location=where,
    )


def parse_passage(record: dict[str, Any], where: Location, prefix: str = "") -> Passage:
    """A Passage from one JSON object (`prefix` names its place inside a question for messages)."""
    rest = dict(record)
    name, text = _take(rest, TEXT)
    if not isinstance(text, str):
        raise where.error("missing" if text is None else "must be a string", f"{prefix}text", text)
    title = rest.pop("title", None)
    if name == "contents" and title is None:
        title, text = split_contents(text)
    if not isinstance(title, str | None):
        raise where.error("must be a string", f"{prefix}title", title)
    scores = rest.pop("scores", None) or {}
    if not isinstance(scores, dict):
        raise where.error("must be an object of numbers", f"{prefix}scores", scores)
    return Passage(
        id=_identifier(_take(rest, PASSAGE_ID), where, prefix),
        text=text,
        title=title or "",
        doc_id=_identifier(("doc_id", rest.pop("doc_id", None)), where, prefix),
        score=_number(rest.pop("score", None), f"{prefix}score", where),
        scores={
            name: _required_number(value, f"{prefix}scores.{name}", where)
            for name, value in scores.items()
            if value is not None
        },
        extra=rest,
    )


def split_contents(contents: str) -> tuple[str, str]:
    """Title and text of Pyserini's and FlashRAG's `contents`: the first tab or line break, if any, ends the title."""
    cut = min((at for at in (contents.find("\t"), contents.find("\n")) if at >= 0), default=None)
    return ("", contents) if cut is None else (without_quotes(contents[:cut]), contents[cut + 1 :])


def without_quotes(title: str) -> str:
    """The title without the pair of double quotes that Pyserini's and FlashRAG's corpora have around it."""
    return title[1:-1] if is_quoted(title) else title


def is_quoted(title: str) -> bool:
    """Whether the title begins and ends with a double quote."""
    return len(title) > 1 and title[0] == title[-1] == '"'


def parse_corpus_passage(record: dict[str, Any], where: Location) -> Passage:
    """A Passage of a corpus, which must have an id. Raises DataError as `parse_passage` does."""
    passage = parse_passage(record, where)
    if passage.id is None:
        raise where.error("missing", "id", hint="every passage of a corpus needs its own id")
    return passage


def _take(rest: dict[str, Any], names: Iterable[str]) -> tuple[str, Any]:
    """Remove and return the first of `names` that is there and not null, with the name it had. Null ones are removed.

    Tables fill the columns that a row lacks with null, so a null field counts as absent in every spelling.
    """
    for name in names:
        if name in rest and rest[name] is None:
            del rest[name]
    name = next((name for name in names if name in rest), next(iter(names)))
    return name, rest.pop(name, None)


def _identifier(named: tuple[str, Any], where: Location, prefix: str = "") -> str | None:
    """The id as a string; an empty one, which tables have in the place of none, counts as absent."""
    name, value = named
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise where.error("must be a string or an integer", prefix + name, value)


def _optional_string(rest: dict[str, Any], name: str, where: Location) -> str | None:
    value = rest.pop(name, None)
    if not isinstance(value, str | None):
        raise where.error("must be a string", name, value)
    return value


def _answers(named: tuple[str, Any], where: Location) -> list[str] | None:
    """The answers: a list, one string, or the text of a list, as an export by pandas or numpy has it.

    `datasets` has them as an object of columns: SQuAD's under `text`, TriviaQA's under `aliases`; or the text of one.
    """
    name, value = named
    if isinstance(columns := parse_columns_text(value) if isinstance(value, str) else value, dict):
        value = next((found for key in ("text", "aliases") if isinstance(found := columns.get(key), list)), value)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str) and parse_list_text(value[0]):
        value = value[0]
    if isinstance(value, str):
        found = parse_list_text(value)
        if found is None and is_broken_list(value):
            raise where.error("begins and ends as a list of strings, but is none", name, value, LIST_HINT)
        return [value] if found is None else found
    if value is not None and not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
        raise where.error("must be a list of strings", name, value)
    return value


def _passages(name: str, value: Any, where: Location) -> list[Passage]:
    if isinstance(value, dict) and len({len(v) if isinstance(v, list) else None for v in value.values()} - {None}) == 1:
        columns = {key: column for key, column in value.items() if isinstance(column, list)}  # as `datasets` has it
        value = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if not isinstance(value, list):
        raise where.error("must be a list of passages", name, value)
    found = []
    for position, item in enumerate(value):
        if not isinstance(item, dict):
            raise where.error("must be a list of objects", f"{name}[{position}]", item)
        found.append(parse_passage(item, where, f"{name}[{position}]."))
    return found


def _number(value: Any, name: str, where: Location) -> float | None:
    return None if value is None else _required_number(value, name, where)


def _required_number(value: Any, name: str, where: Location) -> float:
    """Scores are written as strings by FiD and DPR. NaN and infinity are refused: no ranking or loss can use them."""
    try:
        number = math.nan if isinstance(value, bool) else number_of(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise where.error("must be a number", name, value)
    return number
