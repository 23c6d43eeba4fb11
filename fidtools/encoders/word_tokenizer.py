"""The tokenizer of word encoders. It splits like the WhitespaceTokenizer of sentence-transformers."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from fidtools.errors import DataError

PADDING = "PADDING_TOKEN"


def split_words(text: str) -> list[str]:
    """The words of a text in lower case, without leading and trailing punctuation."""
    stripped = (word.strip(string.punctuation) for word in text.lower().split())
    return [word for word in stripped if word]


class WordTokenizer:
    """Words to ids. Words outside the vocabulary are skipped; id 0 is padding."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = list(vocabulary)
        self._ids = {word: i for i, word in enumerate(self.vocabulary)}
        self.pad_token_id = self._ids[PADDING]

    def tokenize(self, text: str, maxlength: int) -> list[int]:
        """The ids of the first `maxlength` known words; a single padding token for a text without known words."""
        ids = [self._ids[word] for word in split_words(text) if word in self._ids]
        return ids[:maxlength] or [self.pad_token_id]


def check_vocabulary(words: object, vectors: int, path: Path) -> None:
    """Raise DataError unless a folder's vocabulary is a list of as many words as there are vectors, with padding."""
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words) or PADDING not in words:
        raise DataError(f"the vocabulary is no list of words with {PADDING}", path=path)
    if len(words) != vectors:
        raise DataError(f"the vocabulary has {len(words):,} words, the model {vectors:,} word vectors", path=path)


def build_vocabulary(texts: Iterable[str], size: int = 50_000) -> list[str]:
    """Padding and the `size` most frequent words, equally frequent ones in alphabetical order."""
    counts = Counter(word for text in texts for word in split_words(text))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [PADDING] + [word for word, _ in ranked[:size]]
