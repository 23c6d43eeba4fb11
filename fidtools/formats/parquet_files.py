"""Parquet tables: columns as in `named_columns`, or ids with vectors. Read in batches; needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from fidtools.data.files import PathLike
from fidtools.data.record_parsing import PASSAGE_ID, QUESTION, QUESTION_ID, TEXT
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError, MissingExtraError
from fidtools.formats.embedding_files import Block, checked_block
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.named_columns import OURS, checked_ids, noting_labels, passage_of_row, question_of_row
from fidtools.formats.signatures import PARQUET
from fidtools.formats.table_rows import Row, require_distinct, spelled

ROWS_PER_BATCH = 1024
VECTOR_NAMES = ("embedding", "embeddings", "emb", "vector", "vectors")
"""Where several columns hold vectors, the first of these names is meant."""


def read_parquet_vectors(path: PathLike) -> Iterator[Block]:
    """The one column of vectors (lists of floats), with the ids of a column `id`, else the numbers of the rows, from 0.

    Raises DataError for several such columns of other names than `embedding`, and for rows of other lengths.
    """
    file = _opened(path)
    vectors, identifier = _vector_column(file, path), _id_column(file)
    start, width = 0, None
    for batch in _batches(file, path, [vectors, *([identifier] if identifier else [])]):
        ids = batch[identifier].to_pylist() if identifier else list(range(start, start + len(batch)))
        column = batch[vectors]
        lengths = set(column.value_lengths().to_pylist())
        width = width or next(iter(lengths), None)
        if lengths != {width} or not width or column.flatten().null_count:
            problem = f"rows {start} to {start + len(batch) - 1}: vectors are missing, or of different lengths"
            raise DataError(problem, path=path, field=vectors, value=sorted(map(str, lengths)))
        numbers = column.flatten().to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore"):  # what becomes infinite is refused as such
            kept = numbers if numbers.dtype == np.float16 else numbers.astype(np.float32)
        yield checked_block(ids, kept.reshape(len(batch), width), path)
        start += len(batch)


def read_parquet_questions(path: PathLike) -> Iterator[Question]:
    """One question per row, as `named_columns` reads a table."""
    return noting_labels(map(question_of_row, checked_ids(_rows(path), QUESTION_ID)))


def read_parquet_passages(path: PathLike) -> Iterator[Passage]:
    """One passage or document per row, as `named_columns` reads a table; columns of vectors are left out."""
    return map(passage_of_row, checked_ids(_rows(path), PASSAGE_ID))


def _opened(path: PathLike) -> Any:
    """The file. Raises MissingExtraError without pyarrow, DataError for what is no Parquet file."""
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError("reading Parquet", "export") from error
    try:
        return parquet.ParquetFile(str(path), memory_map=False)
    except arrow.ArrowException as error:
        raise DataError("not a readable Parquet file", path=path, value=str(error)) from error


def _batches(file: Any, path: PathLike, names: list[str]) -> Iterator[Any]:
    """Batches of some columns. Raises DataError for a file that is damaged further on."""
    arrow = import_module("pyarrow")
    try:
        yield from file.iter_batches(batch_size=ROWS_PER_BATCH, columns=names, use_threads=False)
    except (arrow.ArrowException, OSError) as error:
        raise DataError("damaged: its rows cannot be read", path=path, value=str(error)) from error


def _rows(path: PathLike) -> Iterator[Row]:
    """The rows without their null cells, vectors, and bytes that are no text; their numbers from 1 are their lines.

    Raises DataError where two columns have one name, and for values outside of Python's types.
    """
    file = _opened(path)
    left_out = _vector_columns(file)
    names = [name for name in file.schema_arrow.names if name not in left_out]
    require_distinct([spelled(name, OURS) for name in names], path)
    start = 0
    for batch in _batches(file, path, names):
        try:
            rows = batch.to_pylist()
        except (ValueError, OverflowError) as error:  # such as a date after the year 9999
            problem = f"rows {start} to {start + len(batch) - 1}: a value cannot be read"
            raise DataError(problem, path=path, value=str(error)) from error
        for number, row in enumerate(rows, start):
            record = {name: _as_json(value) for name, value in row.items()}
            cells = {name: value for name, value in record.items() if value is not None}
            yield Row(number, cells, Location(path, number + 1))
        start += len(batch)


def _as_json(value: Any) -> Any:
    """The value as JSON can hold it: times, decimal numbers and their like as strings; None for bytes that are no text.

    Older writers of Parquet do not mark text as such, so it arrives as bytes.
    """
    if isinstance(value, bytes):
        return _text_of(value)
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):  # a map is a list of pairs
        return [_as_json(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _text_of(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _vector_columns(file: Any) -> list[str]:
    types = import_module("pyarrow.types")

    def holds_vectors(kind: Any) -> bool:
        lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        return bool(lists and types.is_floating(kind.value_type))

    return [field.name for field in file.schema_arrow if holds_vectors(field.type)]


def _vector_column(file: Any, path: PathLike) -> str:
    found = _vector_columns(file)
    chosen = found if len(found) == 1 else [name for name in VECTOR_NAMES if name in found]
    if not chosen:
        problem = "several columns of vectors" if found else "no column of vectors (lists of floats)"
        hint = "leave one, or name it `embedding`" if found else None
        raise DataError(problem, path=path, value=", ".join(found or file.schema_arrow.names), hint=hint)
    return chosen[0]


def _id_column(file: Any) -> str | None:
    spelled = {name.strip().lower(): name for name in reversed(file.schema_arrow.names)}
    return next((spelled[name] for name in (*PASSAGE_ID, *QUESTION_ID) if name in spelled), None)


def _columns(head: Head) -> tuple[set[str], bool]:
    """The names of the columns in lower case, and whether one holds vectors; none where it cannot be read."""
    if head.data[:4] != PARQUET:
        return set(), False
    try:
        file = _opened(head.path)
    except (DataError, MissingExtraError):
        return set(), False
    return {name.lower() for name in file.schema_arrow.names}, bool(_vector_columns(file))


def _is_vectors(head: Head) -> bool:
    return _columns(head)[1]


def _is_questions(head: Head) -> bool:
    return not _columns(head)[0].isdisjoint(QUESTION)


def _is_passages(head: Head) -> bool:
    return not _columns(head)[0].isdisjoint(TEXT)


FORMATS = (
    Format(
        "parquet-embeddings",
        "embeddings",
        "Parquet with a column of vectors (needs the extra `export`)",
        detect=_is_vectors,
        read=read_parquet_vectors,
    ),
    Format(
        "parquet-questions",
        "questions",
        "Parquet with a column `question` (needs the extra `export`)",
        detect=_is_questions,
        read=read_parquet_questions,
    ),
    Format(
        "parquet-passages",
        "passages",
        "Parquet with a column `text` (needs the extra `export`)",
        detect=_is_passages,
        read=read_parquet_passages,
    ),
)
