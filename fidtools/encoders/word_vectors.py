"""Pre-trained word vectors in the text format of GloVe or word2vec."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from fidtools.data.files import PathLike, open_input
from fidtools.errors import DataError


def read_word_vectors(path: PathLike, words: Iterable[str], size: int) -> tuple[list[str], NDArray[np.float32]]:
    """Words and their vectors (n, d) from a GloVe or word2vec text file: those of `words`, then others up to `size`.

    Words not in the file are left out; the others follow in the file's order. Raises DataError for lines of different
    lengths, for values that are no numbers, and when none of `words` is in the file.
    """
    wanted = set(words)
    found: dict[str, NDArray[np.float32]] = {}
    others: dict[str, NDArray[np.float32]] = {}
    dim = 0
    with open_input(path) as stream:
        for number, line in enumerate(stream, 1):
            word, *numbers = line.decode("utf-8", "replace").rstrip().split(" ")
            if number == 1 and len(numbers) == 1:
                continue  # word2vec's header: number of words, dimension
            dim = dim or len(numbers)
            if len(numbers) != dim:
                raise DataError(f"expected {dim} numbers after the word, found {len(numbers)}", path=path, line=number)
            kept = found if word in wanted else others
            if kept is found or len(others) < size:
                kept[word] = _numbers(numbers, path, number)
    if not found:
        raise DataError("none of the words of the training texts is in the file", path=path)
    rows = dict(islice(chain(found.items(), others.items()), size))
    return list(rows), np.stack(list(rows.values()))


def _numbers(values: list[str], path: PathLike, line: int) -> NDArray[np.float32]:
    try:
        return np.array(values, dtype=np.float32)
    except ValueError as error:
        raise DataError("expected numbers after the word", path=path, line=line, value=" ".join(values)) from error
