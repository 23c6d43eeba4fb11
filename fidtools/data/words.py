"""The words of a text as spans of characters: by white space, or by spaCy's English rules (the paper's for BM25).

Some scripts have no spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese. There a character stands for a
word, since telling words apart would need a dictionary of the language. In Tibetan a syllable stands for a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

import regex

from fidtools.errors import MissingExtraError

Spans = Iterator[tuple[int, int]]
TokenizerName = Literal["whitespace", "spacy"]
_WORD = re.compile(r"[^\s\u0f0b]+\u0f0b*|\u0f0b+")  # a tsheg, U+0F0B, ends a syllable of Tibetan, which has no spaces
UNSPACED = (  # inside of [ ]: Thai, Lao, Burmese, Khmer, Japanese, Chinese
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
LAYOUT = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
"""For str.translate. Soft hyphen, zero-width (no-break) space and word joiner say where a line may end: no text."""
_UNSPACED_RUN = re.compile(f"[{UNSPACED}]+")
_UNSPACED_WORD = regex.compile(rf"[{UNSPACED}]\p{{M}}*[^\s\w{UNSPACED}]*|[^\s{UNSPACED}]+")
_UNSPACED_PIECE = regex.compile(rf"[{UNSPACED}]\p{{M}}*|[^{UNSPACED}]+")
_UNSPACED_CHARACTER = regex.compile(rf"[{UNSPACED}]\p{{M}}*")
_CHARACTER = regex.compile(r"[\p{Alphabetic}\p{N}]")
MAX_CHARACTERS = 1 << 30  # spaCy's default, a million, protects its parser, which is not used here


def whitespace_spans(text: str) -> Spans:
    """Start and end of every maximal run of characters without white space.

    In Tibetan every syllable is one. In a text of a script without spaces every character is, with the marks and
    punctuation after it. A foreign name in a text of another script changes nothing: a tenth of the characters must be
    of such a script.
    """
    if has_unspaced(text) and 10 * sum(len(run) for run in _UNSPACED_RUN.findall(text)) > len(text):
        return (match.span() for match in _UNSPACED_WORD.finditer(text))
    return (match.span() for match in _WORD.finditer(text))


def has_unspaced(text: str) -> bool:
    """Whether the text has characters of a script without spaces between words."""
    return not text.isascii() and _UNSPACED_RUN.search(text) is not None


def set_apart(text: str) -> str:
    """The text with a space on either side of each character of a script without spaces, with its marks.

    >>> set_apart("in 2020年 x")
    'in 2020 年  x'
    """
    return _UNSPACED_CHARACTER.sub(r" \g<0> ", text) if has_unspaced(text) else text


def pieces(run: str) -> Iterator[Any]:
    """Matches of the characters of scripts without spaces, one by one with their marks, and of what stands between."""
    return cast("Iterator[Any]", _UNSPACED_PIECE.finditer(run))


def spell_out(text: str) -> str:
    """The text with each run of a script without spaces replaced by its characters and pairs of neighbours.

    Pairs are what Lucene's CJK analyzer indexes; the single characters find what is written with one. Other text is
    unchanged.

    >>> spell_out("the 日本語 word")
    'the  日 日本 本 本語 語  word'
    """
    return _UNSPACED_RUN.sub(_pairs, text) if has_unspaced(text) else text


def _pairs(run: re.Match[str]) -> str:
    characters = _CHARACTER.findall(run[0])  # a mark that is no letter would end a word in the index
    following = [*characters[1:], ""]
    tokens = [token for one, two in zip(characters, following, strict=False) for token in (one, one + two)]
    return f" {' '.join(tokens[:-1])} "


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
