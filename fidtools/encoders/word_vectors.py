"""Pre-trained word vectors in the text format of GloVe or word2vec."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice, takewhile

import numpy as np
from numpy.typing import NDArray

from fidtools.data.files import PathLike, open_data
from fidtools.data.jsonl import bounded_lines
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
    with open_data(path) as stream:
        for number, line in enumerate(bounded_lines(stream, path), 1):
            cells = line.decode("utf-8", "replace").rstrip().split(" ")
            if number == 1 and len(cells) == 2:
                continue  # word2vec's header: number of words, dimension
            dim = dim or _count_numbers(cells[1:])
            word, given = " ".join(cells[:-dim]), len(cells) - 1
            if given < dim or (given > dim and _count_numbers(cells[1:]) != dim):
                raise DataError(f"expected {dim} numbers after the word, found {given}", path=path, line=number)
            kept = found if word in wanted else others
            if kept is found or len(others) < size:
                kept[word] = _numbers(cells[-dim:], path, number)
    if not found:
        raise DataError("none of the words of the training texts is in the file", path=path)
    rows = dict(islice(chain(found.items(), others.items()), size))
    return list(rows), np.stack(list(rows.values()))


def _count_numbers(cells: Sequence[str]) -> int:
    """How many numbers stand at the end of a line: a word may contain blanks, as ". . ." of GloVe's 840B file does."""
    return max(sum(1 for _ in takewhile(_is_number, reversed(cells))), 1)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(values: list[str], path: PathLike, line: int) -> NDArray[np.float32]:
    try:
        found = np.array(values, dtype=np.float32)
    except ValueError as error:
        raise DataError("expected numbers after the word", path=path, line=line, value=" ".join(values)) from error
    if not np.isfinite(found).all():
        raise DataError("numbers must be finite", path=path, line=line, value=" ".join(values))
    return found
