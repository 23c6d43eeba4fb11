"""Passages with vectors as bodies of HTTP requests: Qdrant's points and Elasticsearch's bulk lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fidtools.data.files import PathLike, atomic_folder, open_output
from fidtools.data.jsonl import write_json
from fidtools.data.outputs import FolderKind
from fidtools.data.records import Passage
from fidtools.errors import UsageError
from fidtools.formats.vector_table import VectorTable
from fidtools.logs import log

QDRANT_FILES = ("collection.json", "points.jsonl")
ELASTIC_FILES = ("index.json", "bulk.ndjson")
QDRANT = FolderKind("requests for Qdrant", QDRANT_FILES, QDRANT_FILES, has_force=False)
ELASTIC = FolderKind("requests for Elasticsearch", ELASTIC_FILES, ELASTIC_FILES, has_force=False)
POINTS_PER_REQUEST = 100
MAX_ELASTIC_DIM = 4096
MAX_ELASTIC_ID = 512  # bytes


def _fields(table: VectorTable, passage: Passage) -> dict[str, Any]:
    named = {name: getattr(passage, name) for name in table.fields}
    return {name: value for name, value in named.items() if value is not None}


def write_qdrant(table: VectorTable, path: PathLike) -> None:
    """`collection.json` creates the collection, each line of `points.jsonl` is the body of one request to upsert.

    Qdrant's ids are integers or UUIDs: a point's id is the row of its passage, whose own id is in the payload.
    """
    distance = {"cosine": "Cosine", "inner product": "Dot"}[table.similarity]
    vectors = {"size": table.dim, "distance": distance, "datatype": table.dtype}
    with atomic_folder(Path(path), QDRANT) as folder:
        write_json(folder / "collection.json", {"vectors": vectors})
        with open_output(folder / "points.jsonl") as out:
            for block in table.blocks:
                points = [
                    {"id": block.start + number, "vector": vector, "payload": _fields(table, passage)}
                    for number, (passage, vector) in enumerate(zip(block.passages, block.vectors, strict=True))
                ]
                for start in range(0, len(points), POINTS_PER_REQUEST):
                    out.line({"points": points[start : start + POINTS_PER_REQUEST]})


def write_elasticsearch(table: VectorTable, path: PathLike) -> None:
    """`index.json` creates the index, `bulk.ndjson` are the lines of its _bulk requests, two for a passage.

    Elasticsearch refuses vectors of length 0 under cosine: such a passage is written without one, and counted.
    Raises UsageError for more dimensions than a dense_vector has, DataError for an id that is too long for an _id.
    """
    if table.dim > MAX_ELASTIC_DIM:
        problem = f"a dense_vector has at most {MAX_ELASTIC_DIM:,} dimensions, not {table.dim:,}"
        raise UsageError(problem, hint="embed --dim")
    without = 0
    with atomic_folder(Path(path), ELASTIC) as folder:
        write_json(folder / "index.json", {"mappings": {"dynamic": "strict", "properties": _properties(table)}})
        with open_output(folder / "bulk.ndjson") as out:
            for block in table.blocks:
                for number, (passage, vector) in enumerate(zip(block.passages, block.vectors, strict=True)):
                    identifier = str(passage.id)
                    if not 0 < len(identifier.encode()) <= MAX_ELASTIC_ID:
                        problem = f"an _id of Elasticsearch has 1 to {MAX_ELASTIC_ID} bytes"
                        raise block.error(number, problem, "id", "give the passages shorter ids")
                    out.line({"index": {"_id": identifier}})
                    found = table.similarity != "cosine" or bool(vector.any())
                    out.line(_fields(table, passage) | ({"embedding": vector} if found else {}))
                    without += not found
    if without:
        log.warning(
            "%d vectors are zero, which cosine cannot compare: their passages have none in Elasticsearch", without
        )


def _properties(table: VectorTable) -> dict[str, Any]:
    similarity = {"cosine": "cosine", "inner product": "max_inner_product"}[table.similarity]
    vector = {"type": "dense_vector", "dims": table.dim, "element_type": "float", "index": True}
    vector |= {"similarity": similarity, "index_options": {"type": "hnsw"}}  # else Elasticsearch quantises them
    kinds = {"id": "keyword", "doc_id": "keyword", "title": "text", "text": "text"}
    return {name: {"type": kinds[name]} for name in table.fields} | {"embedding": vector}
