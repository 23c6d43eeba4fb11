"""Where passages with their vectors can be written to, by the names that `convert --to` takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fidtools.data.files import STANDARD, PathLike
from fidtools.errors import UsageError, show_path
from fidtools.formats.arrow_exports import write_lancedb, write_parquet
from fidtools.formats.json_exports import write_elasticsearch, write_qdrant
from fidtools.formats.postgres_export import write_pgvector
from fidtools.formats.vector_table import VectorTable, open_table
from fidtools.logs import log


@dataclass(frozen=True)
class Export:
    """One target. `writes` is what -o names, `loaded_by` the programs that read it, `checked_by` how that is tested."""

    write: Callable[[VectorTable, PathLike], None]
    description: str
    writes: str
    loaded_by: str
    checked_by: str
    extra: str | None = None
    to_stdout: bool = False


EXPORTS = {
    "parquet": Export(
        write_parquet,
        "a Parquet file; embedding is a fixed-size list",
        "a file",
        "DuckDB, Spark, Polars, pandas, `datasets`",
        "DuckDB",
        extra="export",
    ),
    "pgvector": Export(
        write_pgvector,
        "a psql script: table and COPY for pgvector",
        "a file, or standard output",
        "PostgreSQL with pgvector",
        "PostgreSQL with pgvector",
        to_stdout=True,
    ),
    "qdrant": Export(
        write_qdrant,
        "request bodies for Qdrant: collection and points",
        "a folder",
        "Qdrant",
        "Qdrant's local mode",
    ),
    "lancedb": Export(
        write_lancedb, "a LanceDB folder with a table", "a folder", "LanceDB", "LanceDB", extra="lancedb"
    ),
    "elasticsearch": Export(
        write_elasticsearch,
        "request bodies for Elasticsearch: index and bulk",
        "a folder",
        "Elasticsearch 8.11 or newer",
        "its documentation only",
    ),
}


def export(embeddings: PathLike, target: PathLike, name: str, passages: PathLike | None) -> None:
    """Write the embeddings X.npy with their passages for the database `name` of EXPORTS.

    Raises UsageError for an input or output that the target cannot have, MismatchError for other passages.
    """
    chosen = EXPORTS[name]
    if Path(embeddings).suffix != ".npy":
        hint = "vectors of other tools become X.npy first: fidtools convert FILE -o X.npy"
        problem = f"--to {name} is for embeddings (X.npy from `fidtools embed`), not {show_path(embeddings)}"
        raise UsageError(problem, hint=hint)
    if passages is None:
        raise UsageError(f"--to {name} needs the --passages that were embedded")
    if str(target) == STANDARD and not chosen.to_stdout:
        raise UsageError(f"--to {name} cannot be written to standard output", hint=f"-o names {chosen.writes}")
    table = open_table(embeddings, passages)
    chosen.write(table, target)
    shape = f"{table.rows:,} × {table.dim} {table.dtype}"
    log.info("%s: %s → %s, compared by %s", show_path(embeddings), shape, name, table.similarity)
