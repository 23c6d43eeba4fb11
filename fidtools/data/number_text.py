"""Numbers in the cells of tables and in strings, as tools write them."""

from __future__ import annotations

import re

from fidtools.errors import MOST_DIGITS

_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"([+-]?\d+)(?:\.0*)?", re.ASCII)


def is_count(text: str) -> bool:
    """Whether a text is an integer from 0 in ASCII digits, short enough for `int`."""
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS


def number_of(text: str) -> float:
    """The number that a text stands for. Raises ValueError for other text.

    That includes what `float` reads as another tool would not: `1_0`, and digits of other scripts.
    """
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(f"not a number: {text!r}")
    return float(text)


def integer_of(text: str) -> int:
    """The integer that a text stands for, which tables of floats write as `1.0`. Raises ValueError for other text."""
    found = _INTEGER.fullmatch(text.strip())
    if not found:
        raise ValueError(f"not an integer: {text!r}")
    return int(found[1])
