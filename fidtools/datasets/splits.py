"""Train, dev and test as the open-domain papers split them (appendix A.1 of Izacard & Grave)."""

from __future__ import annotations

from pathlib import Path

import orjson

from fidtools.data.jsonl import read_bounded
from fidtools.errors import DataError
from fidtools.formats.archives import member
from fidtools.logs import log

INDEX = "dataindex.tar.gz"
EVERY = 10  # one in ten of the original train questions becomes a dev question


def train_and_dev(index: Path | None, prefix: str, total: int) -> tuple[list[int], list[int]]:
    """The rows (from 0) of the original train questions that are train and dev questions.

    From the published index files (`NQ.train.idx.json`, …); without them, every tenth question is a dev question.
    Raises DataError for an index that names rows beyond `total` or one row twice.
    """
    if index is None:
        log.warning(
            "%s is unavailable: every tenth question becomes a dev question, unlike in the published split", INDEX
        )
        dev = range(EVERY - 1, total, EVERY)
        return sorted(set(range(total)) - set(dev)), list(dev)
    train, dev_rows = (_rows(index, f"{prefix}.{split}.idx.json") for split in ("train", "dev"))
    rows = train + dev_rows
    if len(set(rows)) < len(rows) or not all(0 <= row < total for row in rows):
        problem = f"the index of {prefix} does not fit the {total:,} original train questions"
        raise DataError(problem, path=index, hint="one of the two files is of another version")
    return train, dev_rows


def _rows(index: Path, name: str) -> list[int]:
    with member(index, name) as stream:
        rows = orjson.loads(read_bounded(stream, index))
    if not (isinstance(rows, list) and all(isinstance(row, int) for row in rows)):
        raise DataError("must be a list of integers", path=index, field=name)
    return rows
