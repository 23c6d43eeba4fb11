"""Passages with vectors as Arrow tables: Parquet files and LanceDB folders."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fidtools.data.files import PathLike, atomic_folder, atomic_path
from fidtools.data.jsonl import write_json
from fidtools.data.outputs import FolderKind
from fidtools.errors import MissingExtraError
from fidtools.formats.vector_table import VectorTable

LANCE = FolderKind(
    "a LanceDB database of fidtools", ("settings.json",), ("settings.json", "passages.lance/*"), has_force=False
)
LANCE_METRICS = {"cosine": "cosine", "inner product": "dot"}


def _imported(name: str, what: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(what, extra) from error


def _schema(arrow: Any, table: VectorTable) -> Any:
    number = arrow.float16() if table.dtype == "float16" else arrow.float32()
    columns = [arrow.field(name, arrow.string(), nullable=name == "doc_id") for name in table.fields]
    columns.append(arrow.field("embedding", arrow.list_(number, table.dim), nullable=False))
    return arrow.schema(columns, metadata={"similarity": table.similarity})


def _batches(arrow: Any, table: VectorTable, schema: Any) -> Iterator[Any]:
    for block in table.blocks:
        columns = [arrow.array([getattr(p, name) for p in block.passages], arrow.string()) for name in table.fields]
        flat = arrow.array(block.vectors.ravel())
        columns.append(arrow.FixedSizeListArray.from_arrays(flat, table.dim))
        yield arrow.record_batch(columns, schema=schema)


def write_parquet(table: VectorTable, path: PathLike) -> None:
    """One Parquet file: strings, and `embedding` as a fixed-size list of Arrow. Each block is a row group."""
    arrow = _imported("pyarrow", "writing Parquet", "export")
    parquet = importlib.import_module("pyarrow.parquet")
    schema = _schema(arrow, table)
    with atomic_path(path) as partial, parquet.ParquetWriter(str(partial), schema) as writer:
        for batch in _batches(arrow, table, schema):
            writer.write_batch(batch)


def write_lancedb(table: VectorTable, path: PathLike) -> None:
    """A folder for `lancedb.connect` with the table `passages`; `settings.json` names the metric to search with."""
    arrow, lancedb = (_imported(name, "writing LanceDB", "lancedb") for name in ("pyarrow", "lancedb"))
    schema = _schema(arrow, table)
    with atomic_folder(Path(path), LANCE) as folder:
        reader = arrow.RecordBatchReader.from_batches(schema, _batches(arrow, table, schema))
        lancedb.connect(str(folder)).create_table("passages", reader, schema=schema)
        settings = {"table": "passages", "vector_column": "embedding", "metric": LANCE_METRICS[table.similarity]}
        write_json(folder / "settings.json", settings)
