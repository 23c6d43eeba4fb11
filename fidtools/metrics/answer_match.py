"""DPR's answer match: which passages contain an answer, and recall among the first k.

A text contains an answer when the answer's tokens occur in it consecutively. Both are decomposed (NFD), lower-cased and
split into runs of letters, digits and marks, and into single other characters that are neither space nor control.

A run may be a whole sentence of a script without spaces, such as Japanese, in which DPR's code finds no answer. So each
character of such a script is a token of its own here.
"""

from __future__ import annotations

import contextlib
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import regex

from fidtools.data.records import Question
from fidtools.data.words import set_apart

TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")
WORD = regex.compile(r"[\p{L}\p{N}\p{M}]")
GAP = regex.compile(r"[\p{Z}\p{C}]*")
BARRIER = b"\0"
KELVIN = "\N{KELVIN SIGN}".encode()
RECURSION = regex.compile(r"\(\?(?:R|\d|&|P>|[+-]\d)")
MOST_SECONDS = 10.0
"""Of one search for a regular expression in one passage."""


def tokens(text: str) -> list[str]:
    """The lower-case tokens of a text, decomposed (NFD)."""
    return [token.lower() for token in TOKEN.findall(unicodedata.normalize("NFD", text))]


def usable(answers: Iterable[str]) -> list[str]:
    """The answers that have a token. The reference matches the others ("", " ", a zero-width space) in every text."""
    return [answer for answer in answers if TOKEN.search(unicodedata.normalize("NFD", answer))]


def has_answer(answers: Sequence[str], text: str, *, empty_matches: bool = False) -> bool:
    """Whether the text contains one of the answers as a sequence of tokens.

    An answer without tokens matches nothing; with `empty_matches`, it matches everything, and scripts without spaces
    have no tokens but runs: both as in DPR's code.
    """
    return AnswerMatcher(answers, empty_matches=empty_matches).hits([text])[0]


class AnswerMatcher:
    """Finds the texts that contain one of a question's answers: the same hits as comparing tokens, but much faster.

    All texts are searched at once, as lower-case bytes, for the longest ASCII word of an answer; tokens are compared
    only where it occurs. No text is excluded wrongly: a letter that decomposes is followed by a mark, which belongs to
    the same token, so the Kelvin sign is the only other character that becomes an ASCII word.
    """

    def __init__(self, answers: Iterable[str], *, empty_matches: bool = False) -> None:
        self._set_apart = str if empty_matches else set_apart
        sequences = dict.fromkeys(tuple(tokens(self._set_apart(answer))) for answer in answers)
        self._everything = empty_matches and () in sequences
        self._sequences = [
            (_anchor(sequence), [(token, WORD.match(token) is not None) for token in sequence])
            for sequence in sequences
            if sequence
        ]

    def hits(self, texts: Sequence[str]) -> list[bool]:
        """For every text, whether it contains an answer."""
        if self._everything:
            return [True] * len(texts)
        encoded = _encode(texts)
        whole = BARRIER.join(encoded).lower()
        starts = list(accumulate((len(text) + 1 for text in encoded), initial=0))
        found = [False] * len(texts)
        lowered: dict[int, str] = {}
        kelvin = [KELVIN] if KELVIN in whole else []
        for anchor, sequence in self._sequences:
            for index in _candidates(whole, starts, [anchor, *kelvin]):
                if not found[index]:
                    if index not in lowered:
                        lowered[index] = _lower(self._set_apart(texts[index]))
                    found[index] = _occurs(sequence, lowered[index])
        return found


def _anchor(sequence: Sequence[str]) -> bytes:
    """The longest ASCII word among the tokens; empty when there is none."""
    return max((token.encode() for token in sequence if token.isascii() and token.isalnum()), key=len, default=b"")


def _encode(texts: Sequence[str]) -> list[bytes]:
    try:
        return [text.encode() for text in texts]
    except UnicodeEncodeError:  # half a surrogate pair, as malformed JSON may contain
        return [text.encode("utf-8", "surrogatepass") for text in texts]


def _candidates(whole: bytes, starts: Sequence[int], anchors: Sequence[bytes]) -> Iterator[int]:
    """The texts, by their starts in `whole`, that contain one of the anchors; an empty anchor is in every text."""
    if b"" in anchors:
        yield from range(len(starts) - 1)
        return
    for wanted in anchors:
        at = whole.find(wanted)
        while at >= 0:
            index = bisect_right(starts, at) - 1
            yield index
            at = whole.find(wanted, starts[index + 1])


def _lower(text: str) -> str:
    """The text decomposed and in lower case, each token as if alone: a final sigma depends on what surrounds it."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFD", text)
    return TOKEN.sub(lambda match: match.group().lower(), text) if "Σ" in text else text.lower()


def _occurs(sequence: Sequence[tuple[str, bool]], text: str) -> bool:
    """Whether the tokens (each with whether it is a word) occur consecutively in the lower-case text."""
    first, is_word = sequence[0]
    at = text.find(first)
    while at >= 0:
        if not (is_word and at and WORD.match(text, at - 1)) and _continues(sequence, text, at):
            return True
        at = text.find(first, at + 1)
    return False


def _continues(sequence: Sequence[tuple[str, bool]], text: str, at: int) -> bool:
    """Whether the tokens occur consecutively from `at`, as complete tokens."""
    for number, (token, is_word) in enumerate(sequence):
        if number:
            at = GAP.match(text, at).end()
        if not text.startswith(token, at):
            return False
        at += len(token)
        if is_word and WORD.match(text, at):
            return False
    return True


def regex_hits(patterns: Sequence[str], texts: Sequence[str]) -> list[bool]:
    """For every text, whether one of the regular expressions (CuratedTREC's answers) is found in it, decomposed.

    An invalid pattern is found nowhere, as in the reference; `is_pattern` tells which ones are. Raises TimeoutError
    with the pattern where a search takes too long, as nested repetitions can.
    """
    compiled = [_compile(pattern) for pattern in patterns if is_pattern(pattern)]
    return [any(_finds(c, text) for c in compiled) for text in (unicodedata.normalize("NFD", t) for t in texts)]


@contextlib.contextmanager
def slow_patterns_named(question: Question) -> Iterator[None]:
    """Raise DataError for the question in place of the TimeoutError of its answers' regular expressions."""
    try:
        yield
    except TimeoutError as error:
        problem = f"a regular expression that takes more than {MOST_SECONDS:g} s"
        raise question.error(problem, "answers", str(error)) from error


def regex_match(patterns: Sequence[str], prediction: str) -> bool:
    """Whether the prediction begins with a match of one of the regular expressions: the exact match of DrQA's script.

    Both are decomposed. An invalid pattern matches nothing. Raises TimeoutError as `regex_hits` does.
    """
    text = unicodedata.normalize("NFD", prediction)
    return any(_finds(_compile(pattern), text, at_start=True) for pattern in patterns if is_pattern(pattern))


def _finds(pattern: regex.Pattern[str], text: str, *, at_start: bool = False) -> bool:
    try:
        return (pattern.match if at_start else pattern.search)(text, timeout=MOST_SECONDS) is not None
    except TimeoutError as error:
        raise TimeoutError(pattern.pattern) from error


def is_pattern(text: str) -> bool:
    """Whether the text is a regular expression. One that calls itself is none: it can fill the memory."""
    if RECURSION.search(text):
        return False
    try:
        _compile(text)
    except (regex.error, RecursionError, OverflowError, MemoryError):
        return False
    return True


def _compile(pattern: str) -> regex.Pattern[str]:
    return regex.compile(unicodedata.normalize("NFD", pattern), regex.IGNORECASE | regex.MULTILINE)


def first_rank(hits: Sequence[bool]) -> float:
    """The rank, from 1, of the first hit; infinite when there is none."""
    return hits.index(True) + 1 if True in hits else float("inf")
