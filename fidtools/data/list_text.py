"""Lists of strings that a table or a careless export turned into one string: Python's, numpy's and JSON's spellings."""

from __future__ import annotations

import ast
import re
import warnings

_STRING = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ITEM = re.compile(rf"\s*({_STRING})\s*", re.DOTALL)
_ARRAY = re.compile(r"array\((\[.*\])(?:,\s*dtype=[^)]*)?\)", re.DOTALL)


def parse_list_text(text: str) -> list[str] | None:
    """The strings in the text of a list: `['a', 'b']`, numpy's `['a' 'b']`, JSON's `["a", "b"]`; None for other text.

    Commas stand between all strings or between none. Where some are missing, Python would glue two strings together:
    that is no list.
    """
    text = text.strip()
    if array := _ARRAY.fullmatch(text):
        text = array[1]
    if not (text.startswith("[") and text.endswith("]")):
        return None
    return _items(text[1:-1].strip())


def _items(body: str) -> list[str] | None:
    found: list[str] = []
    at, commas = 0, 0
    while at < len(body):
        item = _ITEM.match(body, at)
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
    return value if isinstance(value, str) else None
