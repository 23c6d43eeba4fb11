"""The words of a text as spans of characters: by white space, or by spaCy's English rules (the paper's for BM25)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

from fidtools.errors import MissingExtraError

Spans = Iterator[tuple[int, int]]
TokenizerName = Literal["whitespace", "spacy"]
_WORD = re.compile(r"\S+")
MAX_CHARACTERS = 1 << 30  # spaCy's default, a million, protects its parser, which is not used here


def whitespace_spans(text: str) -> Spans:
    """Start and end of every maximal run of characters without white space."""
    return (match.span() for match in _WORD.finditer(text))


def spacy_spans() -> Callable[[str], Spans]:
    """A function that returns start and end of every spaCy token that is not white space.

    Raises MissingExtraError when spaCy is not installed.
    """
    try:
        import spacy
    except ImportError as error:
        raise MissingExtraError("the spaCy tokenizer", "spacy") from error
    language = spacy.blank("en")
    language.max_length = MAX_CHARACTERS

    def spans(text: str) -> Spans:
        document = language.make_doc(text)
        return ((token.idx, token.idx + len(token)) for token in document if not token.is_space)

    return spans


def tokenizer(name: TokenizerName) -> Callable[[str], Spans]:
    """The function from a text to the spans of its words."""
    return spacy_spans() if name == "spacy" else whitespace_spans
