"""A script for psql that makes a table of passages with vectors (pgvector) and fills it by COPY."""

from __future__ import annotations

import orjson

from fidtools.data.files import PathLike, open_output
from fidtools.errors import UsageError
from fidtools.formats.vector_table import Block, VectorTable

OPERATORS = {"cosine": ("<=>", "cosine_ops"), "inner product": ("<#>", "ip_ops")}
MAX_DIM = 16_000
MAX_INDEXED = {"vector": 2_000, "halfvec": 4_000}
"""The most dimensions of an HNSW index by type (pgvector's README, "HNSW"); halfvec came with pgvector 0.7."""
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""Of COPY's text format (PostgreSQL's documentation of COPY, "Text Format")."""


def write_pgvector(table: VectorTable, path: PathLike) -> None:
    """The script: DDL, COPY with all rows, and in comments the index and the query.

    Raises DataError for a NUL character, which PostgreSQL cannot store.
    """
    if table.dim > MAX_DIM:
        raise UsageError(f"pgvector stores at most {MAX_DIM:,} dimensions, not {table.dim:,}", hint="embed --dim")
    columns = ", ".join([*table.fields, "embedding"])
    with open_output(path) as out:
        out.write(_ddl(table).encode())
        out.write(f"COPY passages ({columns}) FROM stdin;\n".encode())
        for block in table.blocks:
            out.write(b"".join(_rows(table, block)))
        out.write(b"\\.\n\nCOMMIT;\nANALYZE passages;\n")


def _ddl(table: VectorTable) -> str:
    kind = "halfvec" if table.dtype == "float16" else "vector"
    operator, operators = OPERATORS[table.similarity]
    doc_id = "  doc_id text,\n" if table.has_doc_ids else ""
    return f"""-- {table.rows} passages with vectors of {table.dim} dimensions, compared by {table.similarity}.
-- Load:    psql -v ON_ERROR_STOP=1 -f FILE
-- Search:  SELECT id, title, text FROM passages ORDER BY embedding {operator} $1 LIMIT 10;
{_index(table.dim, kind, operator, operators)}
SET client_encoding = 'UTF8';
BEGIN;
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE passages (
  id text PRIMARY KEY,
{doc_id}  title text NOT NULL,
  text text NOT NULL,
  embedding {kind}({table.dim}) NOT NULL
);

"""


def _index(dim: int, kind: str, operator: str, operators: str) -> str:
    """Comments: the statement that makes an index, as far as pgvector can index vectors of this type and length."""
    if dim <= MAX_INDEXED[kind]:
        return f"""-- Without an index this search is exact. A faster, approximate one:
--          CREATE INDEX ON passages USING hnsw (embedding {kind}_{operators});"""
    if dim <= (most := MAX_INDEXED["halfvec"]):
        half = f"embedding::halfvec({dim})"
        return f"""-- Without an index this search is exact. A faster, approximate one is by halves (pgvector 0.7+),
-- because an index of {kind} has at most {MAX_INDEXED[kind]:,} dimensions:
--          CREATE INDEX ON passages USING hnsw (({half}) halfvec_{operators});
--          SELECT id, title, text FROM passages ORDER BY {half} {operator} $1 LIMIT 10;"""
    return f"""-- This search is exact. pgvector has no index for it: one of halfvec has at most {most:,} dimensions.
-- `fidtools embed --dim N` makes shorter vectors."""


def _rows(table: VectorTable, block: Block) -> list[bytes]:
    lines = []
    for number, (passage, vector) in enumerate(zip(block.passages, block.vectors, strict=True)):
        cells = []
        for name in table.fields:
            value = getattr(passage, name)
            if value is not None and "\0" in value:
                hint = "remove it from the passages, embed again, or choose another database"
                raise block.error(number, "PostgreSQL cannot store a NUL character", name, hint)
            cells.append("\\N" if value is None else value.translate(ESCAPES))
        numbers = orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY)
        lines.append("\t".join(cells).encode() + b"\t" + numbers + b"\n")
    return lines
