"""Near-duplicates among short texts: Jaccard similarity of character trigrams, exact, without comparing all pairs.

Two texts whose trigram sets have a similarity of at least t share a trigram among the first |x| - ceil(t |x|) + 1 of
each set, in any common order (prefix filtering: Chaudhuri, Ganti & Kaushik 2006; Bayardo, Ma & Srikant 2007). Ordered
by frequency, the rarest first, few texts share one, and only those are compared.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fidtools.data.words import UNSPACED
from fidtools.metrics.answer_match import tokens

LENGTH = 3
MOST_CHARACTERS = 1000
"""Of a normal form whose trigrams are compared: longer texts are no questions."""
_BETWEEN_UNSPACED = re.compile(rf"(?<=[{UNSPACED}]) (?=[{UNSPACED}])")


@dataclass(frozen=True)
class Similar:
    """The most similar text of those searched: its row, the similarity, and whether it is the same in normal form.

    Other texts, too, may have a similarity of 1: those of the same trigrams.
    """

    row: int
    similarity: float
    same: bool = False


def normal_form(text: str) -> str:
    """The text in NFKC and lower case, with single spaces between words and without punctuation.

    Where the script has no spaces between words, a punctuation mark leaves none behind.

    >>> normal_form("Who  wrote “Hamlet”?")
    'who wrote hamlet'
    """
    words = tokens(unicodedata.normalize("NFKC", text).casefold())
    return _BETWEEN_UNSPACED.sub("", " ".join(word for word in words if any(map(str.isalnum, word))))


def trigrams(normal: str) -> frozenset[str]:
    """The sequences of three characters in a normal form with a space on either side."""
    padded = f" {normal[:MOST_CHARACTERS]} "
    return frozenset(padded[at : at + LENGTH] for at in range(max(1, len(padded) - LENGTH + 1)))


class SimilarTexts:
    """Texts in memory (about 10 KB per question) in which similar ones are searched."""

    def __init__(self, texts: Iterable[str], threshold: float) -> None:
        self.threshold = threshold
        self._sets: list[frozenset[str]] = []
        self._same: dict[str, int] = {}
        for row, text in enumerate(texts):
            normal = normal_form(text)
            self._same.setdefault(normal, row)
            self._sets.append(trigrams(normal))
        self._frequency = Counter(gram for grams in self._sets for gram in grams)
        self._rows: dict[str, list[int]] = {}
        for row, grams in enumerate(self._sets):
            for gram in self._prefix(grams):
                self._rows.setdefault(gram, []).append(row)

    def most_similar(self, text: str) -> Similar | None:
        """The most similar text, the first of several; None where all are less similar than the threshold."""
        normal = normal_form(text)
        if not normal:
            return None
        if (row := self._same.get(normal)) is not None:
            return Similar(row, 1.0, same=True)
        grams = trigrams(normal)
        candidates = {row for gram in self._prefix(grams) for row in self._rows.get(gram, ())}
        least, most = self.threshold * len(grams) - 1e-9, len(grams) / self.threshold + 1e-9
        sets = [(row, self._sets[row]) for row in candidates]
        found = [(-jaccard(grams, other), row) for row, other in sets if least <= len(other) <= most]
        negative, row = min(found, default=(0.0, -1))
        return Similar(row, -negative) if found and -negative >= self.threshold else None

    def _prefix(self, grams: frozenset[str]) -> Sequence[str]:
        """The rarest trigrams, of which similar texts share one."""
        length = len(grams) - math.ceil(self.threshold * len(grams) - 1e-9) + 1
        return sorted(grams, key=lambda gram: (self._frequency[gram], gram))[:length]


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """The number of common elements by that of all."""
    common = len(one & other)
    return common / (len(one) + len(other) - common)
