"""Words instead of word pieces, for the LSTM and CNN students: splits as SentenceTransformer's WhitespaceTokenizer."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from fidtools.errors import DataError
from fidtools.streams import PathLike, open_input

PADDING = "PADDING_TOKEN"


def split_words(text: str) -> list[str]:
    """The words of a text, without case and without the punctuation around them."""
    stripped = (word.strip(string.punctuation) for word in text.lower().split())
    return [word for word in stripped if word]


class WordTokenizer:
    """Words to ids. Words outside the vocabulary are skipped; id 0 is padding."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = list(vocabulary)
        self._ids = {word: i for i, word in enumerate(self.vocabulary)}
        self.pad_token_id = self._ids[PADDING]

    def tokenize(self, text: str, maxlength: int) -> list[int]:
        """The ids of at most `maxlength` known words; one padding token for a text without any."""
        ids = [self._ids[word] for word in split_words(text) if word in self._ids]
        return ids[:maxlength] or [self.pad_token_id]


def build_vocabulary(texts: Iterable[str], size: int = 50_000, least: int = 1) -> list[str]:
    """Padding and the `size` most frequent words that occur at least `least` times, ties in alphabetical order."""
    counts = Counter(word for text in texts for word in split_words(text))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [PADDING] + [word for word, count in ranked[:size] if count >= least]


def read_word_vectors(path: PathLike, words: Iterable[str], size: int) -> tuple[list[str], NDArray[np.float32]]:
    """Words and vectors (n, d) of a GloVe or word2vec text file: those of `words`, then others up to `size` in all.

    The others, in the file's order, are those that texts to come may have. Raises DataError when lines differ in
    length, hold no numbers, or none of `words` is found.
    """
    wanted = set(words)
    found: dict[str, NDArray[np.float32]] = {}
    others: dict[str, NDArray[np.float32]] = {}
    dim = 0
    with open_input(path) as stream:
        for number, line in enumerate(stream, 1):
            word, *numbers = line.decode("utf-8", "replace").rstrip().split(" ")
            if number == 1 and len(numbers) == 1:
                continue  # word2vec's header: rows and dimensions
            dim = dim or len(numbers)
            if len(numbers) != dim:
                raise DataError(f"expected {dim} numbers after the word, found {len(numbers)}", path=path, line=number)
            kept = found if word in wanted else others
            if kept is found or len(others) < size:
                kept[word] = _numbers(numbers, path, number)
    if not found:
        raise DataError("none of the training texts' words is in it", path=path)
    rows = dict(islice(chain(found.items(), others.items()), size))
    return list(rows), np.stack(list(rows.values()))


def _numbers(values: list[str], path: PathLike, line: int) -> NDArray[np.float32]:
    try:
        return np.array(values, dtype=np.float32)
    except ValueError as error:
        raise DataError("expected numbers after the word", path=path, line=line, value=" ".join(values)) from error
