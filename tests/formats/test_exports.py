"""Embeddings written for databases: each loads what it gets, and answers as `fidtools retrieve` does."""

from __future__ import annotations

import gzip
import json
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fidtools import cli
from fidtools.data.jsonl import write_json, write_lines
from fidtools.data.read import read_passages, read_questions
from fidtools.formats.exports import EXPORTS
from fidtools.formats.vector_table import Block, open_table
from tests.models import WORDS, bert_folder

from . import postgres

K = 7
BLOCKS_IN_MEMORY = 4  # the one that is made, the one that is written, and what a library reads ahead
ODD_TEXTS = [
    "\\",
    "\\.",
    "\\N",
    "a\tb",
    "a\nb\r\nc",
    'say "hi"',
    "it's; DROP TABLE passages;--",
    "",
    "  ",
    "é 😀 \u2028",
    "{}",
]
ODD_IDS = ["a\tb", "\\N", "\\.", 'a"b', "a'b", "a b", "é😀", "null", "0", "{x}", "$1"]
Answers = list[list[str]]


class World:
    """A corpus with odd ids and texts, two encoders, and what `retrieve` answers."""

    def __init__(self, folder: Path, *, normalize: bool, dtype: str) -> None:
        self.folder, self.normalize, self.dtype = folder, normalize, dtype
        draw = np.random.default_rng(1)
        texts = [" ".join(draw.choice(WORDS, 8)) for _ in range(120)]
        lines = [{"id": f"p{i}", "title": f"t {i}", "text": text} for i, text in enumerate(texts)]
        for line, odd in zip(lines, ODD_TEXTS, strict=False):
            line["text"] += odd
            line["title"] = odd
        lines += [{"id": odd, "text": texts[number]} for number, odd in enumerate(ODD_IDS, 20)]
        lines = [line | {"doc_id": f"d{number % 5}"} if number % 3 else line for number, line in enumerate(lines)]
        self.passages, self.questions, self.embeddings = folder / "p.jsonl", folder / "q.jsonl", folder / "p.npy"
        write_lines(self.passages, lines)
        write_lines(self.questions, [{"id": f"q{i}", "question": " ".join(draw.choice(WORDS, 3))} for i in range(6)])
        model = bert_folder(folder / "bert", layers=1)
        write_json(model / "retriever.json", {"normalize": normalize, "pooling": "mean"})
        common = ["--retriever", model, "--precision", "float32", "-q"]
        self.run("embed", self.passages, "-o", self.embeddings, "--dtype", dtype, *common)
        self.run("embed", "--questions", self.questions, "-o", folder / "q.npy", *common)
        given = ["--embeddings", self.embeddings, "-p", self.passages, "-k", 1000, "-o", folder / "found.jsonl"]
        self.run("retrieve", self.questions, *given, *common)
        self.asked = np.load(folder / "q.npy")

    def run(self, *arguments: object, code: int = 0) -> None:
        assert cli.run([str(part) for part in arguments]) == code

    def convert(self, name: str, output: Path) -> Path:
        self.run("convert", self.embeddings, "--to", name, "-p", self.passages, "-o", output, "-q")
        return output

    def stored(self) -> dict[str, tuple[str, str, str | None]]:
        return {str(p.id): (p.title, p.text, p.doc_id) for p in read_passages(self.passages)}

    def agrees(self, answers: Answers) -> None:
        """Whether a database's K best are ours. Passages with the same words have the same score: any order will do."""
        for question, ids in zip(read_questions(self.folder / "found.jsonl"), answers, strict=True):
            scores = {str(p.id): round(p.scores["dense"], 4) for p in question.ctxs or []}
            assert len(set(ids)) == K
            ours = list(scores.values())[:K]
            assert [scores.get(identifier) for identifier in ids] == pytest.approx(ours, abs=2e-4)


KINDS = {
    "inner product": {"normalize": False, "dtype": "float32"},
    "cosine": {"normalize": True, "dtype": "float32"},
    "float16": {"normalize": False, "dtype": "float16"},
    "int8": {"normalize": True, "dtype": "int8"},
    "binary": {"normalize": False, "dtype": "binary"},
}


@pytest.fixture(scope="module", params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"), **KINDS[request.param])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("plain"), normalize=False, dtype="float32")


def duckdb_answers(world: World, tmp_path: Path) -> Answers:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    pytest.importorskip("pyarrow", reason="needs fidtools[export]")
    path = world.convert("parquet", tmp_path / "p.parquet")
    database = duckdb.connect()
    rows = database.execute("SELECT id, title, text, doc_id FROM read_parquet(?)", [str(path)]).fetchall()
    assert {row[0]: row[1:] for row in rows} == world.stored()
    distance = "array_cosine_distance" if world.normalize and world.dtype != "int8" else "array_negative_inner_product"
    query = f"SELECT id FROM read_parquet(?) ORDER BY {distance}(embedding::FLOAT[16], ?::FLOAT[16]) LIMIT {K}"
    return [
        [row[0] for row in database.execute(query, [str(path), asked.tolist()]).fetchall()] for asked in world.asked
    ]


def lancedb_answers(world: World, tmp_path: Path) -> Answers:
    lancedb = pytest.importorskip("lancedb", reason="needs fidtools[lancedb]")
    folder = world.convert("lancedb", tmp_path / "lance")
    settings = json.loads((folder / "settings.json").read_text())
    table = lancedb.connect(str(folder)).open_table(settings["table"])
    rows = table.to_arrow().to_pylist()
    assert {row["id"]: (row["title"], row["text"], row["doc_id"]) for row in rows} == world.stored()
    assert [row["id"] for row in rows] == list(world.stored())

    def answer(asked: np.ndarray) -> list[str]:
        query = table.search(asked.tolist(), vector_column_name=settings["vector_column"])
        return [row["id"] for row in query.distance_type(settings["metric"]).limit(K).to_list()]

    return [answer(asked) for asked in world.asked]


def qdrant_answers(world: World, tmp_path: Path) -> Answers:
    qdrant = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    folder = world.convert("qdrant", tmp_path / "qdrant")
    client = qdrant.QdrantClient(":memory:")
    body = qdrant.models.CreateCollection(**json.loads((folder / "collection.json").read_text()))
    client.create_collection("passages", vectors_config=body.vectors)
    for line in (folder / "points.jsonl").read_text().split("\n")[:-1]:
        client.upsert("passages", qdrant.models.PointsList(**json.loads(line)).points)
    found = [point.payload or {} for point in client.scroll("passages", limit=1000)[0]]
    assert {p["id"]: (p["title"], p["text"], p.get("doc_id")) for p in found} == world.stored()

    def answer(asked: np.ndarray) -> list[str]:
        points = client.query_points("passages", query=asked.tolist(), limit=K).points
        return [(point.payload or {})["id"] for point in points]

    return [answer(asked) for asked in world.asked]


def pgvector_answers(world: World, tmp_path: Path) -> Answers:
    programs = postgres.programs()
    if programs is None:
        pytest.skip("no PostgreSQL with pgvector: neither the system's nor the package pgserver")
    script = world.convert("pgvector", tmp_path / "p.sql")
    with postgres.running(programs) as server:
        done = server.psql(text=script.read_text())
        if 'type "halfvec" does not exist' in done.stderr:
            pytest.skip("this pgvector is older than 0.7 and has no halfvec")
        assert done.returncode == 0, done.stderr
        rows = json.loads(
            server.psql("-c", "SELECT json_agg(json_build_array(id, title, text, doc_id)) FROM passages").stdout
        )
        assert {row[0]: tuple(row[1:]) for row in rows} == world.stored()
        operator = "<=>" if world.normalize and world.dtype != "int8" else "<#>"
        assert f"ORDER BY embedding {operator} $1" in script.read_text()
        ids = "SELECT json_agg(id) FROM (SELECT id FROM passages ORDER BY embedding {} '{}' LIMIT {}) AS found"
        asked = (ids.format(operator, json.dumps(vector.tolist()), K) for vector in world.asked)
        found = [json.loads(server.psql("-c", query).stdout) for query in asked]
        done = server.psql("-c", head_statements(script)[1])
        assert done.returncode == 0, done.stderr
        return found


def head_statements(script: Path) -> list[str]:
    """The statements in the comments above the script: search, index, and search with the index where it differs."""
    head = script.read_text().split("SET client_encoding")[0]
    return [line[line.index(word) :] for line in head.split("\n") for word in ("SELECT", "CREATE") if word in line]


def elasticsearch_answers(world: World, tmp_path: Path) -> Answers:
    """No Elasticsearch runs here: the bodies against its documentation, and the search by hand."""
    folder = world.convert("elasticsearch", tmp_path / "elastic")
    cosine = world.normalize and world.dtype != "int8"
    assert json.loads((folder / "index.json").read_text()) == {
        "mappings": {
            "dynamic": "strict",
            "properties": {
                "id": {"type": "keyword"},
                "doc_id": {"type": "keyword"},
                "title": {"type": "text"},
                "text": {"type": "text"},
                "embedding": {
                    "type": "dense_vector",
                    "dims": 16,
                    "element_type": "float",
                    "index": True,
                    "similarity": "cosine" if cosine else "max_inner_product",
                    "index_options": {"type": "hnsw"},
                },
            },
        }
    }
    body = (folder / "bulk.ndjson").read_bytes()
    assert body.endswith(b"}\n")
    lines = [json.loads(line) for line in body.split(b"\n")[:-1]]
    actions, documents = lines[::2], lines[1::2]
    assert actions == [{"index": {"_id": document["id"]}} for document in documents]
    assert {d["id"]: (d["title"], d["text"], d.get("doc_id")) for d in documents} == world.stored()
    vectors = np.array([document["embedding"] for document in documents], np.float32)
    scores = world.asked @ vectors.T
    if cosine:
        scores /= np.linalg.norm(vectors, axis=1)
    return [[documents[row]["id"] for row in np.argsort(-line, kind="stable")[:K]] for line in scores]


ANSWERS: dict[str, Callable[[World, Path], Answers]] = {
    "parquet": duckdb_answers,
    "lancedb": lancedb_answers,
    "qdrant": qdrant_answers,
    "pgvector": pgvector_answers,
    "elasticsearch": elasticsearch_answers,
}


@pytest.mark.parametrize("name", EXPORTS)
def test_a_database_holds_the_passages_and_answers_as_retrieve_does(world: World, name: str, tmp_path: Path) -> None:
    world.agrees(ANSWERS[name](world, tmp_path))


@pytest.mark.parametrize("name", EXPORTS)
def test_other_passages_are_refused(plain: World, name: str, tmp_path: Path, capsys) -> None:
    lines = plain.passages.read_bytes().splitlines(keepends=True)
    changed = {
        "fewer": lines[:-1],
        "reordered": lines[::-1],
        "edited": [lines[0].replace(b"t 0", b"T 0").replace(b'"text":"', b'"text":"new '), *lines[1:]],
    }
    for what, other in changed.items():
        path = tmp_path / f"{what}.jsonl"
        path.write_bytes(b"".join(other))
        plain.run("convert", plain.embeddings, "--to", name, "-p", path, "-o", tmp_path / "out", "-q", code=1)
        said = capsys.readouterr().err
        assert ("made from other texts" if what == "edited" else "are not the") in said
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", EXPORTS)
def test_writing_twice_replaces_and_foreign_files_stay(plain: World, name: str, tmp_path: Path, capsys) -> None:
    pytest.importorskip({"lancedb": "lancedb", "parquet": "pyarrow"}.get(name, "json"), reason="needs an extra")
    first = plain.convert(name, tmp_path / "out")
    plain.convert(name, tmp_path / "out")
    if first.is_dir():
        (first / "mine.txt").write_text("mine")
        plain.run("convert", plain.embeddings, "--to", name, "-p", plain.passages, "-o", first, "-q", code=2)
        assert "it holds mine.txt" in capsys.readouterr().err
        assert (first / "mine.txt").read_text() == "mine"


MISTAKES = {
    "no passages": (["p.npy", "--to", "parquet", "-o", "out"], 2, "--to parquet needs the --passages"),
    "no vectors": (["p.jsonl", "--to", "qdrant", "-p", "p.jsonl", "-o", "out"], 2, "is for embeddings (X.npy"),
    "no target": (["p.npy", "-o", "out"], 2, "embeddings (.npy) are converted for databases"),
    "stdout": (["p.npy", "--to", "lancedb", "-p", "p.jsonl"], 2, "cannot be written to standard output"),
    "score": (["p.npy", "--to", "parquet", "--top", "3", "-p", "p.jsonl", "-o", "out"], 2, "do not apply"),
    "missing": (["none.npy", "--to", "qdrant", "-p", "p.jsonl", "-o", "out"], 1, "none.npy: no such file or directory"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_on_the_command_line(plain: World, name: str, monkeypatch, capsys) -> None:
    arguments, code, message = MISTAKES[name]
    monkeypatch.chdir(plain.folder)
    plain.run("convert", *arguments, code=code)
    assert message in capsys.readouterr().err
    assert not (plain.folder / "out").exists()


def one_passage(folder: Path, passage: dict[str, str], vector: np.ndarray, *, normalize: bool = False) -> list[str]:
    from fidtools.data.embedding_writer import create_embeddings
    from fidtools.data.vector_type import VectorType

    write_lines(folder / "p.jsonl", [passage])
    kind = VectorType(vector.dtype.name, len(vector))
    meta = {"encoder": {"normalize": normalize}}
    with create_embeddings(folder / "p.npy", 1, kind, meta, ids=[passage["id"]]) as out:
        out.write(0, vector[None])
    return ["convert", str(folder / "p.npy"), "-p", str(folder / "p.jsonl"), "-o", str(folder / "out"), "--to"]


def test_what_a_database_cannot_hold(tmp_path: Path, capsys) -> None:
    vector = np.ones(4, np.float32)
    arguments = one_passage(tmp_path, {"id": "p", "text": "a\0b"}, vector)
    assert cli.run([*arguments, "pgvector"]) == 1
    assert "field 'text': row 0: PostgreSQL cannot store a NUL character" in capsys.readouterr().err
    arguments = one_passage(tmp_path, {"id": "é" * 257, "text": "a"}, vector)
    assert cli.run([*arguments, "elasticsearch"]) == 1
    assert "field 'id': row 0: an _id of Elasticsearch has 1 to 512 bytes" in capsys.readouterr().err
    arguments = one_passage(tmp_path, {"id": "p", "text": "a"}, np.ones(16_001, np.float32))
    for name, most in (("pgvector", "16,000"), ("elasticsearch", "4,096")):
        assert cli.run([*arguments, name]) == 2
        assert f"at most {most} dimensions, not 16,001" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


SEARCH = "SELECT id, title, text FROM passages ORDER BY {} <=> $1 LIMIT 10;"
INDEX = "CREATE INDEX ON passages USING hnsw ({});"


@pytest.mark.parametrize(
    ("dim", "dtype", "column", "index"),
    [
        (2000, "float32", "vector(2000)", INDEX.format("embedding vector_cosine_ops")),
        (2001, "float32", "vector(2001)", INDEX.format("(embedding::halfvec(2001)) halfvec_cosine_ops")),
        (4000, "float32", "vector(4000)", INDEX.format("(embedding::halfvec(4000)) halfvec_cosine_ops")),
        (4001, "float32", "vector(4001)", None),
        (3, "float16", "halfvec(3)", INDEX.format("embedding halfvec_cosine_ops")),
        (4000, "float16", "halfvec(4000)", INDEX.format("embedding halfvec_cosine_ops")),
        (4001, "float16", "halfvec(4001)", None),
    ],
)
def test_types_and_indexes_of_pgvector(tmp_path: Path, dim: int, dtype: str, column: str, index: str | None) -> None:
    """As pgvector's README has them ("Half-Precision Vectors", "Half-Precision Indexing", "HNSW")."""
    vector = np.full(dim, 0.5, dtype)
    arguments = one_passage(tmp_path, {"id": "p", "text": "a"}, vector, normalize=True)
    assert cli.run([*arguments, "pgvector", "-q"]) == 0
    script = (tmp_path / "out").read_text()
    assert f"\n  embedding {column} NOT NULL\n" in script
    assert f"\np\t\ta\t[{','.join(['0.5'] * dim)}]\n" in script
    expected = [SEARCH.format("embedding")] + ([index] if index else [])
    if index and "::" in index:
        expected.append(SEARCH.format(f"embedding::halfvec({dim})"))
    assert head_statements(tmp_path / "out") == expected
    assert ("pgvector has no index for it" in script) == (index is None)


def test_elasticsearch_gets_no_vector_that_cosine_cannot_compare(tmp_path: Path, capsys) -> None:
    zero = np.zeros(4, np.float32)
    for normalize, written in ((True, {}), (False, {"embedding": [0.0] * 4})):
        arguments = one_passage(tmp_path, {"id": "p", "text": "a"}, zero, normalize=normalize)
        assert cli.run([*arguments, "elasticsearch"]) == 0
        assert ("1 vectors are zero" in capsys.readouterr().err) == normalize
        document = json.loads((tmp_path / "out" / "bulk.ndjson").read_bytes().splitlines()[1])
        assert document == {"id": "p", "title": "", "text": "a"} | written


def test_fields_that_are_not_written_are_counted(tmp_path: Path, capsys) -> None:
    arguments = one_passage(tmp_path, {"id": "p", "text": "a", "page": "7"}, np.ones(4, np.float32))
    assert cli.run([*arguments, "qdrant"]) == 0
    assert "fields that are not written, with the number of passages: page (1)" in capsys.readouterr().err


def test_a_compressed_script_and_standard_output(plain: World, tmp_path: Path, capfdbinary) -> None:
    script = plain.convert("pgvector", tmp_path / "p.sql").read_bytes()
    assert gzip.decompress(plain.convert("pgvector", tmp_path / "p.sql.gz").read_bytes()) == script
    capfdbinary.readouterr()
    plain.run("convert", plain.embeddings, "--to", "pgvector", "-p", plain.passages, "-q")
    assert capfdbinary.readouterr().out == script


def test_shards_are_one_table(plain: World, tmp_path: Path) -> None:
    whole = plain.convert("qdrant", tmp_path / "whole")
    lines = plain.passages.read_bytes().splitlines(keepends=True)
    for number, part in enumerate((lines[:50], lines[50:])):
        (tmp_path / "part.jsonl").write_bytes(b"".join(part))
        common = ["--retriever", plain.folder / "bert", "--precision", "float32", "-q"]
        plain.run("embed", tmp_path / "part.jsonl", "-o", tmp_path / f"p.{number:05d}.npy", *common)
    plain.run("convert", tmp_path / "p.npy", "--to", "qdrant", "-p", plain.passages, "-o", tmp_path / "shards", "-q")

    def points(folder: Path) -> list[tuple[int, str]]:
        bodies = map(json.loads, (folder / "points.jsonl").read_text().split("\n")[:-1])
        return [(point["id"], point["payload"]["id"]) for body in bodies for point in body["points"]]

    assert points(tmp_path / "shards") == points(whole)


@pytest.mark.parametrize("name", EXPORTS)
def test_only_a_few_blocks_are_in_memory(plain: World, name: str, tmp_path: Path) -> None:
    """Blocks are watched until they are freed: a writer that collected them would hold all forty."""
    pytest.importorskip({"lancedb": "lancedb", "parquet": "pyarrow"}.get(name, "json"), reason="needs an extra")
    opened, alive, most = open_table(plain.embeddings, plain.passages), 0, 0
    (block,) = opened.blocks

    def freed() -> None:
        nonlocal alive
        alive -= 1

    def blocks() -> Iterator[Block]:
        nonlocal alive, most
        for number in range(40):
            vectors = block.vectors.copy()
            weakref.finalize(vectors, freed)
            alive += 1
            most = max(most, alive)
            passages = [replace(passage, id=f"{number} {passage.id}") for passage in block.passages]
            yield Block(number * len(passages), passages, vectors)

    table = replace(opened, rows=40 * opened.rows, blocks=blocks())
    EXPORTS[name].write(table, tmp_path / "out")
    assert most <= BLOCKS_IN_MEMORY
