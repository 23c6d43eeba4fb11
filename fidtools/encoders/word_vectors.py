"""Pre-trained word vectors in the text format of GloVe or word2vec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, takewhile

import numpy as np
from numpy.typing import NDArray

from fidtools.data.files import PathLike, open_data
from fidtools.data.json_structure import BYTE_ORDER_MARK
from fidtools.data.jsonl import bounded_lines
from fidtools.encoders.word_tokenizer import split_words
from fidtools.errors import MOST_DIGITS, DataError
from fidtools.logs import log

FORMAT = "expected the text format of GloVe or word2vec: lines of a word and its numbers, separated by blanks"
FEW = 0.5
"""A smaller share of the training texts' words in a file of vectors is worth a warning."""


def read_word_vectors(path: PathLike, words: Iterable[str], size: int) -> tuple[list[str], NDArray[np.float32]]:
    """Words and their vectors (n, d) from a GloVe or word2vec text file: those of `words`, then others up to `size`.

    Words not in the file are left out; the others follow in the file's order, without those that `split_words` never
    gives. A repeated word has its first vector. Raises DataError for lines of different lengths, for values that are
    no numbers, and when none of `words` is in the file. Warns of words that are not UTF-8, of repeated ones, of a
    header that counts other words, and when few of `words` are in the file.
    """
    wanted = set(words)
    found: dict[str, NDArray[np.float32]] = {}
    others: dict[str, NDArray[np.float32]] = {}
    repeated = unreadable = 0
    for number, name, values in _rows(path):
        try:
            word = name.decode()
        except UnicodeDecodeError:
            unreadable += 1
            continue
        kept = found if word in wanted else others
        if word in kept:
            repeated += 1
        elif kept is found or (len(others) < size and split_words(word) == [word]):
            kept[word] = _numbers(values, path, number)
    if not found:
        raise DataError("none of the words of the training texts is in the file", path=path, hint=FORMAT)
    if unreadable:
        log.warning(
            "%s: words that are not UTF-8, and are left out: %d\n  %s", path, unreadable, "iconv makes it UTF-8"
        )
    if repeated:
        log.warning("%s: repeated words, of which the first vector counts: %d", path, repeated)
    _report_coverage(path, len(found), len(wanted))
    rows = dict(islice(chain(found.items(), others.items()), size))
    return list(rows), np.stack(list(rows.values()))


def _rows(path: PathLike) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """The number of a line, its word, and its numbers, as they are in the file."""
    dim = stated = rows = 0
    with open_data(path) as stream:
        for number, line in enumerate(bounded_lines(stream, path), 1):
            cells = (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).split()
            if not cells:
                continue
            if number == 1 and len(cells) == 2 and all(map(_is_count, cells)):
                stated, dim = int(cells[0]), int(cells[1])  # word2vec's header
                continue
            given = len(cells) - 1
            dim = dim or _count_numbers(cells[1:])
            if not dim:
                raise DataError("no numbers after the word", path=path, line=number, hint=FORMAT)
            if given < dim or (given > dim and not stated and _count_numbers(cells[1:]) != dim):
                problem = f"expected {dim} numbers after the word, found {given}"
                raise DataError(problem, path=path, line=number, hint=FORMAT)
            rows += 1
            yield number, b" ".join(cells[:-dim]), cells[-dim:]
    if stated and rows != stated:
        log.warning("%s: its header says %d words, but %d are in it", path, stated, rows)


def _is_count(cell: bytes) -> bool:
    return cell.isdigit() and len(cell) <= MOST_DIGITS


def _count_numbers(cells: Sequence[bytes]) -> int:
    """How many numbers stand at the end of a line: a word may contain blanks, as ". . ." of GloVe's 840B file does."""
    return sum(1 for _ in takewhile(_is_number, reversed(cells)))


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(values: list[bytes], path: PathLike, line: int) -> NDArray[np.float32]:
    shown = b" ".join(values).decode("utf-8", "replace")
    try:
        with np.errstate(over="ignore"):  # refused below
            found = np.array(values, dtype=np.float32)
    except ValueError as error:
        raise DataError("expected numbers after the word", path=path, line=line, value=shown, hint=FORMAT) from error
    if not np.isfinite(found).all():
        raise DataError("numbers must be finite", path=path, line=line, value=shown)
    return found


def _report_coverage(path: PathLike, found: int, wanted: int) -> None:
    log.info("%s: vectors of %d of the %d words of the training texts", path, found, wanted)
    if found < FEW * wanted:
        problem = "%s: vectors of only %d of the %d words of the training texts; the model ignores the others\n  %s"
        log.warning(problem, path, found, wanted, "words are looked up in lower case, without punctuation at both ends")
