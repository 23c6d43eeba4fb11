"""Found questions as JSON: documents in Search-R1's form, readings for programs, and marked pieces for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fidtools.data.records import Passage
from fidtools.serving.highlights import Highlighter, Part
from fidtools.serving.worker import Found

SHARE_DIGITS = 6


def document(passage: Passage) -> dict[str, Any]:
    """A passage as Search-R1's agents read it: `contents` is the title in quotes, a line break, and the text."""
    fields = {"id": passage.id, "title": passage.title, "text": passage.text}
    contents = f'"{passage.title}"\n{passage.text}'
    return fields | ({} if passage.doc_id is None else {"doc_id": passage.doc_id}) | {"contents": contents}


def retrieved(found: Found, return_scores: bool) -> list[dict[str, Any]]:
    """A question's documents; with `return_scores`, each beside its score."""
    passages = found.question.ctxs or []
    if not return_scores:
        return [document(passage) for passage in passages]
    return [{"document": document(passage), "score": passage.score} for passage in passages]


def answered(found: Found) -> dict[str, Any]:
    """A question's answer, and its passages with the reader's attention on each."""
    assert found.reading is not None
    return _answer(found) | {
        "passages": [
            {"document": document(passage), "score": passage.score, "scores": passage.scores} | _evidence(found, number)
            for number, passage in enumerate(found.question.ctxs or [])
        ]
    }


def shown(found: Found) -> dict[str, Any]:
    """A question with its passages in marked pieces [text, mark, share of the attention], as the page shows it."""
    answer = None if found.reading is None else found.reading.answer
    highlighter = Highlighter(found.question.question, answer)
    attention = found.reading.attention if found.reading else None
    tokens = attention.tokens if attention else []
    passages = [
        {
            "id": passage.id,
            "score": passage.score,
            "scores": passage.scores,
            "title": _pieces(highlighter.parts(passage.title)),
            "text": _pieces(highlighter.parts(passage.text, tokens[number] if number < len(tokens) else ())),
        }
        | _evidence(found, number)
        for number, passage in enumerate(found.question.ctxs or [])
    ]
    return {"question": found.question.question} | _answer(found) | {"passages": passages}


def as_line(found: Found) -> dict[str, Any]:
    """A question as the commands `retrieve` and `read` write it, with what `search` knows of each passage besides."""
    if found.reading is not None:
        found.question.prediction = found.reading.answer
        for number, passage in enumerate(found.question.ctxs or []):
            passage.extra |= _evidence(found, number)
    line = found.question.to_json()
    return line if found.reading is None else line | {"log_probability": found.reading.log_probability}


def _pieces(parts: Sequence[Part]) -> list[list[Any]]:
    return [[text, mark, None if share is None else round(share, SHARE_DIGITS)] for text, mark, share in parts]


def _answer(found: Found) -> dict[str, Any]:
    if found.reading is None:
        return {}
    return {
        "answer": found.reading.answer,
        "probability": round(found.reading.probability, SHARE_DIGITS),
        "log_probability": found.reading.log_probability,
    }


def _evidence(found: Found, number: int) -> dict[str, Any]:
    """Whether the passage contains the answer, and its share of the attention (None: not read, or unknown)."""
    if found.reading is None:
        return {}
    passages: Sequence[Passage] = found.question.ctxs or []
    return {
        "has_answer": found.reading.contained_in(passages[number]),
        "attention_share": found.reading.share(number),
    }
