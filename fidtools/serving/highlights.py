"""Words of a passage that a reader's eye looks for: those of the question, the answer, and those with attention."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple

from fidtools.data.words import pieces, set_apart
from fidtools.metrics.answer_match import TOKEN, tokens
from fidtools.serving.readings import TokenShare

Mark = Literal["", "word", "answer"]
STOP_WORDS = frozenset(
    "a about after all also an and any are as at be been before but by can could did do does for from had has have he"
    " her his how i if in into is it its many me more most much my no not of on one or our s she so some such t than"
    " that the their them then there these they this to us was we were what when where which while who whom whose why"
    " will with would you your".split()
)


class Part(NamedTuple):
    """A piece of a text: `mark` says what it is, `share` is its part of the attention (None: not read)."""

    text: str
    mark: Mark
    share: float | None


class Highlighter:
    """Finds the words of a question, and of an answer, in texts."""

    def __init__(self, question: str, answer: str | None = None) -> None:
        wanted = {token for token in tokens(question) if token not in STOP_WORDS}
        self._words = frozenset(stem for word in wanted for stem in stems(word))
        self._answer = tokens(set_apart(answer)) if answer else []

    def parts(self, text: str, attention: Sequence[TokenShare] = ()) -> list[Part]:
        """The whole text in pieces, in order."""
        marks: list[Mark] = [""] * len(text)
        shares: list[float | None] = [None] * len(text)
        for token in attention:
            shares[token.start : token.stop] = [token.share] * (token.stop - token.start)
        for start, stop, mark in self._marks(text):
            marks[start:stop] = [mark] * (stop - start)
        runs = groupby(range(len(text)), key=lambda place: (marks[place], shares[place]))
        return [Part("".join(text[place] for place in run), *kind) for kind, run in runs]

    def _marks(self, text: str) -> Iterator[tuple[int, int, Mark]]:
        """Start, stop and kind; the answer hides the words inside it."""
        found = list(_tokens(text))
        skip = 0
        for number, (token, start, stop) in enumerate(found):
            if self._answer and [each[0] for each in found[number : number + len(self._answer)]] == self._answer:
                skip = len(self._answer)
                yield start, found[number + skip - 1][2], "answer"
            if skip:
                skip -= 1
            elif token not in STOP_WORDS and not self._words.isdisjoint(stems(token)):
                yield start, stop, "word"


def _tokens(text: str) -> Iterator[tuple[str, int, int]]:
    """Tokens with start and stop, as the answer match has them: a character of a script without spaces is one."""
    for run in TOKEN.finditer(text):
        for piece in pieces(run.group()):
            for token in tokens(piece.group()):
                yield token, run.start() + piece.start(), run.start() + piece.end()


@functools.lru_cache(65536)
def stems(word: str) -> Collection[str]:
    """The stems of a word, by BM25's English analyzer."""
    return frozenset(_analyzer().analyze(unicodedata.normalize("NFC", word)))


@functools.cache
def _analyzer() -> Any:
    from fidtools.sparse.tantivy_engine import tantivy_analyzer

    return tantivy_analyzer("english")
