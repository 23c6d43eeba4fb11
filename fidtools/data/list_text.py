"""Lists and objects that a table or a careless export turned into one string: Python's, numpy's, JSON's spellings."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

LIST_HINT = """lists are ['a', 'b'], ['a' 'b'] or ["a", "b"], whole and without None"""
_STRING = r"""[uU]?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\")"""
_NUMBER = r"-?\d{1,20}"
_ITEM = re.compile(rf"\s*({_STRING})\s*", re.DOTALL)
_ITEM_OR_NUMBER = re.compile(rf"\s*({_STRING}|{_NUMBER}(?![^\s,]))\s*", re.DOTALL)
_PAIR = rf"\s*(?:{_STRING}|{_NUMBER})\s*:\s*(?:{_STRING}|-?[\w.]+)\s*"
_OBJECT = re.compile(rf"\{{(?:{_PAIR}(?:,|(?=\}}$)))*\s*\}}", re.DOTALL)
_BEGIN = re.compile(r"\s*(?:\[|array\(\[|[({]\s*[uU]?['\"])")
_BRACKETS = re.compile(r"\s*\[\s*['\"].*\]\s*", re.DOTALL)
_AROUND_LISTS = re.compile(rf"({_STRING})|array\(|(?:,\s*dtype=[^),]*)?\)", re.DOTALL)
_ARRAY = re.compile(r"array\((\[.*\])(?:,\s*dtype=[^)]*)?\)", re.DOTALL)


def begins_a_list(text: str) -> bool:
    """Whether the text begins as that of a list does."""
    return _BEGIN.match(text) is not None


def is_broken_list(text: str, *, numbers: bool = False) -> bool:
    """Whether the text has the brackets and the first quote of a list of strings and is none: `['a', None]`.

    So are numpy's long arrays, `['a' 'b' ... 'z']`, and lists of which some commas are missing. With `numbers`, items
    may be integers.
    """
    return _BRACKETS.fullmatch(text) is not None and parse_list_text(text, numbers=numbers) is None


def parse_list_text(text: str, *, numbers: bool = False) -> list[str] | None:
    """The strings in the text of a list: `['a', 'b']`, numpy's `['a' 'b']`, JSON's `["a", "b"]`; None for other text.

    Commas stand between all strings or between none. Where some are missing, Python would glue two strings together:
    that is no list. A tuple `('a', 'b')` or set `{'a', 'b'}` counts as a list. With `numbers`, items may be integers.
    """
    text = text.strip()
    if array := _ARRAY.fullmatch(text):
        text = array[1]
    if text[:1] + text[-1:] in ("()", "{}"):
        return _items(text[1:-1].strip(), _ITEM) if begins_a_list(text) and _has_comma(text) else None
    if not (text.startswith("[") and text.endswith("]")):
        return None
    return _items(text[1:-1].strip(), _ITEM_OR_NUMBER if numbers else _ITEM)


def parse_object_text(text: str) -> dict[Any, Any] | None:
    """The object in the text of a flat one, `{'a': 1, 'b': 0}`; None for other text."""
    text = text.strip()
    if not _OBJECT.fullmatch(text):
        return None
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parse_columns_text(text: str) -> dict[str, list[Any]] | None:
    """The object of lists in `{'text': ['a'], 'answer_start': [3]}`, which may be numpy's arrays; None for other text.

    This is how pandas and `datasets` write SQuAD's answers into CSV.
    """
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}") and "[" in text):
        return None
    try:
        value = ast.literal_eval(_AROUND_LISTS.sub(lambda match: match[1] or "", text))
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None
    lists = isinstance(value, dict) and value and all(isinstance(item, list) for item in value.values())
    return value if lists else None


def _has_comma(text: str) -> bool:
    """Whether a comma stands outside the strings: `('a')` is one string in parentheses."""
    return "," in re.sub(_STRING, "", text, flags=re.DOTALL)


def _items(body: str, pattern: re.Pattern[str]) -> list[str] | None:
    found: list[str] = []
    at, commas = 0, 0
    while at < len(body):
        item = pattern.match(body, at)
        value = None if item is None else _string(item[1])
        if item is None or value is None:
            return None
        found.append(value)
        at = item.end()
        if body.startswith(",", at):
            at, commas = at + 1, commas + 1
    return found if commas in (0, len(found) - 1, len(found)) else None


def _string(literal: str) -> str | None:
    """The string that a literal stands for, by Python's rules; None where they know no such literal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\\d" is an invalid escape, and stays as it is
        try:
            value = ast.literal_eval(literal)
        except (SyntaxError, ValueError):  # such as a line break within the quotes
            return None
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else None
