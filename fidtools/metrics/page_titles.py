"""Titles of Wikipedia pages: FEVER's spelling and everyone else's as one."""

from __future__ import annotations

import unicodedata

BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}", "-COLON-": ":"}


def without_escapes(text: str) -> str:
    """The text with FEVER's codes for brackets and colons replaced by the characters themselves.

    >>> without_escapes("Soul_Food_-LRB-film-RRB-")
    'Soul_Food_(film)'
    """
    for code, character in BRACKETS.items():
        text = text.replace(code, character)
    return text


def page_title(page: str) -> str:
    """A page's name as its title, in NFC as FEVER's claims are: FEVER writes `_` for a space and `-LRB-` for "(".

    >>> page_title("Soul_Food_-LRB-film-RRB-")
    'Soul Food (film)'
    """
    return unicodedata.normalize("NFC", without_escapes(page).replace("_", " "))
