"""Bodies of requests: JSON objects, checked field by field against the limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from fidtools.errors import shorten
from fidtools.serving.limits import Limits

MALFORMED, TOO_LARGE, UNACCEPTABLE = 400, 413, 422


class RequestError(Exception):
    """A request that is answered with an error status and a message; `field` is the one at fault."""

    def __init__(self, status: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.field = status, message, field

    def to_json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error": self.message} | ({} if self.field is None else {"field": self.field})


@dataclass(frozen=True)
class Queries:
    """The body of `/retrieve` and `/read`, with the names that Search-R1 gave to the fields."""

    queries: list[str]
    k: int
    return_scores: bool


@dataclass(frozen=True)
class PageQuestion:
    """The body of `/search`."""

    question: str
    k: int
    read: bool


def parse_object(body: bytes) -> dict[str, Any]:
    """The object that a body holds. Raises RequestError for anything else."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:  # also for nesting deeper than 1024
        raise RequestError(MALFORMED, f"malformed JSON: {error}") from error
    if not isinstance(value, dict):
        raise RequestError(UNACCEPTABLE, f"must be a JSON object (got {_as_sent(value)})")
    return value


def parse_queries(body: dict[str, Any], limits: Limits, default_k: int, passages: int) -> Queries:
    """The questions of a request that may look up `passages` in total. Raises RequestError."""
    _refuse_unknown(body, ("queries", "topk", "return_scores"))
    queries = body.get("queries")
    if not isinstance(queries, list) or not queries:
        raise _wrong("queries", "a non-empty list of strings", queries)
    if len(queries) > limits.queries:
        message = f"at most {limits.queries} questions per request (got {len(queries)})"
        raise RequestError(TOO_LARGE, message, "queries")
    queries = [_question(query, f"queries[{number}]", limits) for number, query in enumerate(queries)]
    k = _k(body, limits, default_k)
    if len(queries) * k > passages:
        message = f"{len(queries)} questions × {k} passages exceed {passages} passages per request"
        raise RequestError(TOO_LARGE, message, "queries")
    return Queries(queries, k, _flag(body, "return_scores", False))


def parse_page_question(body: dict[str, Any], limits: Limits, default_k: int) -> PageQuestion:
    """The question of the page. Raises RequestError."""
    _refuse_unknown(body, ("question", "topk", "read"))
    question = _question(body.get("question"), "question", limits)
    if not question.strip():
        raise _wrong("question", "a question", question)
    return PageQuestion(question, _k(body, limits, default_k), _flag(body, "read", True))


def _refuse_unknown(body: dict[str, Any], known: tuple[str, ...]) -> None:
    """A misspelt field would otherwise leave the default in force without a word."""
    for field in body:
        if field not in known:
            raise RequestError(UNACCEPTABLE, f"unknown; the fields are {', '.join(known)}", shorten(field))


def _question(value: Any, field: str, limits: Limits) -> str:
    if not isinstance(value, str):
        raise _wrong(field, "a string", value)
    if len(value) > limits.characters:
        message = f"at most {limits.characters} characters per question (got {len(value)})"
        raise RequestError(TOO_LARGE, message, field)
    return value


def _k(body: dict[str, Any], limits: Limits, default: int) -> int:
    value = body.get("topk")
    value = 0 if value is None else value
    if type(value) is not int or value < 0:
        raise _wrong("topk", "a positive integer", value)
    value = value or min(default, limits.k)  # null and 0 mean the default, as in Search-R1
    if value > limits.k:
        raise RequestError(UNACCEPTABLE, f"at most {limits.k} passages per question (got {value})", "topk")
    return value


def _flag(body: dict[str, Any], field: str, default: bool) -> bool:
    value = body.get(field)
    value = default if value is None else value
    if not isinstance(value, bool):
        raise _wrong(field, "true or false", value)
    return value


def _as_sent(value: object) -> str:
    """The value, cut short: a string in quotes, so that "3" is not taken for 3."""
    return shorten(orjson.dumps(value).decode() if isinstance(value, str | bool) else value)


def _wrong(field: str, expected: str, value: object) -> RequestError:
    got = "missing" if value is None else f"got {_as_sent(value)}"
    return RequestError(UNACCEPTABLE, f"must be {expected} ({got})", field)
