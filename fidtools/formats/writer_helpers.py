"""What several writers share: checks of what a format can hold, JSON lists, delimited rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from fidtools.data.files import Output, PathLike, open_output
from fidtools.data.records import Passage, Question

CRLF = "\r\n"
MARK = ".fidtools"
"""A file in a folder that was written here. One without it is the user's, though its files have the same names."""


def leave_mark(folder: Path) -> None:
    """Mark a folder as written here: the next output may replace it."""
    (folder / MARK).write_text('{"written_by": "fidtools convert"}\n')


def required(passage: Passage, name: str, question: Question) -> Any:
    """The passage's `id` or `score`. Raises DataError when it has none."""
    value = getattr(passage, name)
    if value is None:
        hint = "fidtools score-attn adds scores" if name == "score" else None
        raise question.error(f"missing in a passage of question {question.id}", f"ctxs.{name}", hint=hint)
    return value


def is_one_word(text: str) -> bool:
    """Whether the text can be a column of a file whose columns are separated by white space."""
    return bool(text) and len(text.split()) == 1 and text == text.strip()


def write_json_list(values: Iterable[Any], path: PathLike) -> None:
    """One JSON list, indented as FiD and DPR do, written one element at a time."""
    with open_output(path) as out:
        before = b"["
        for value in values:
            out.write(before + b"\n" + orjson.dumps(value, option=orjson.OPT_INDENT_2))
            before = b","
        out.write((b"[" if before == b"[" else b"") + b"\n]\n")


def write_rows(rows: Iterable[Sequence[Any]], out: Output) -> None:
    """Tab-separated rows with CSV quoting, also of carriage returns, which csv quotes only as part of the line end."""
    for row in rows:
        text = io.StringIO()
        csv.writer(text, delimiter="\t", lineterminator=CRLF).writerow(row)
        out.write(text.getvalue().removesuffix(CRLF).encode() + b"\n")
