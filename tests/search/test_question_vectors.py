"""retrieve with vectors of questions that are on disk already: the same ranking as by the retriever that made them."""

from __future__ import annotations

import hashlib
import random
import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest

from fidtools import cli
from fidtools.data.embedding_stream import stream_embeddings
from fidtools.data.jsonl import write_json, write_lines
from fidtools.data.read import read_passages, read_questions
from tests.models import bert_folder

from .conftest import World, embed


def stored(world: World, *more: object, questions: Path | None = None, vectors: Path | None = None) -> list[str]:
    given = ["--question-embeddings", vectors or world.folder / "q.npy", "-p", world.passages]
    return [str(part) for part in ("retrieve", questions or world.questions, *given, "-q", *more)]


def test_stored_vectors_rank_as_their_retriever_does(world: World, tmp_path: Path) -> None:
    lines = world.questions.read_bytes().splitlines(keepends=True)
    random.Random(1).shuffle(lines)
    (tmp_path / "q.jsonl").write_bytes(b"".join(lines[:30]))  # other order, and fewer
    for more in ([], ["--within", "doc_id"]):
        common = ["-k", "9", "--embeddings", world.embeddings, *more]
        by_model = world.arguments(*common, "-o", tmp_path / "model.jsonl")
        by_model[1] = str(tmp_path / "q.jsonl")
        assert cli.run(by_model) == 0
        assert cli.run(stored(world, *common, "-o", tmp_path / "stored.jsonl", questions=tmp_path / "q.jsonl")) == 0
        assert (tmp_path / "stored.jsonl").read_bytes() == (tmp_path / "model.jsonl").read_bytes()


def test_vectors_from_elsewhere(world: World, tmp_path: Path) -> None:
    """Neither side says which model made it: inner products over √d, by brute force."""
    draw = np.random.default_rng(3)
    sides = {}
    for name, ids in (
        ("p", [str(p.id) for p in read_passages(world.passages)]),
        ("q", [str(q.id) for q in read_questions(world.questions)][::-1]),
    ):
        vectors = draw.standard_normal((len(ids), 1536)).astype(np.float32)
        with stream_embeddings(tmp_path / f"{name}.npy", 1536, "float32", {"source": "elsewhere"}) as writer:
            writer.append(ids, vectors)
        sides[name] = dict(zip(ids, vectors, strict=True))
    arguments = stored(world, "--embeddings", tmp_path / "p.npy", "-k", 5, vectors=tmp_path / "q.npy")
    assert cli.run([*arguments, "-o", str(tmp_path / "out.jsonl")]) == 0
    for question in read_questions(tmp_path / "out.jsonl"):
        scores = {p: float(sides["q"][str(question.id)].astype(float) @ v) / 1536**0.5 for p, v in sides["p"].items()}
        best = sorted(scores, key=lambda p: -scores[p])[:5]
        assert [p.id for p in question.ctxs or []] == best
        assert [p.scores["dense"] for p in question.ctxs or []] == pytest.approx([scores[p] for p in best], rel=1e-5)


def test_what_does_not_go_together(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def message(arguments: list[str], code: int) -> str:
        assert cli.run(arguments) == code
        return capsys.readouterr().err

    search = ["--embeddings", world.embeddings]
    both = stored(world, *search, "--retriever", world.retriever)
    neither = ["retrieve", str(world.questions), "--embeddings", str(world.embeddings), "-p", str(world.passages)]
    for arguments in (both, neither):
        assert "give exactly one of --retriever and --question-embeddings" in message(arguments, 2)
    assert "--pooling is for --retriever" in message(stored(world, *search, "--pooling", "mean"), 2)
    (tmp_path / "q.jsonl").write_text('{"id": "other", "question": "?"}\n')
    said = message(stored(world, *search, questions=tmp_path / "q.jsonl"), 1)
    problem = (
        f"{tmp_path / 'q.jsonl'}:1: field 'id': {world.folder / 'q.npy'} has no vector of this question (got other)"
    )
    assert problem in said
    for ids, width, problem in (
        (["a", "b", "a"], 16, "field 'id': two vectors have this id (got a)"),
        (["a"], 8, "vectors of length 16, but those of the questions have 8"),
    ):
        with stream_embeddings(tmp_path / "odd.npy", width, "float32", {}) as writer:
            writer.append(ids, np.ones((len(ids), width), np.float32))
        assert problem in message(stored(world, *search, vectors=tmp_path / "odd.npy"), 1)


@pytest.fixture(scope="module")
def other(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with p.npy and q.npy of the same texts by a retriever with other weights."""
    folder = tmp_path_factory.mktemp("other")
    model = bert_folder(folder / "bert", layers=1, seed=1)
    embed(world, world.passages, folder / "p.npy", model=model)
    embed(world, world.questions, folder / "q.npy", "--questions", model=model)
    return folder


def said_and_forced(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The message that a command is refused with; with --force the same is a warning."""
    output = tmp_path / "out.jsonl"
    assert cli.run([*arguments, "-o", str(output)]) == 1
    said = capsys.readouterr().err
    assert not output.exists()
    problem = said.removeprefix("fidtools: ").splitlines()[0]
    assert cli.run([*arguments, "-o", str(output), "--force"]) == 0
    assert f"{problem} (ignored because of --force" in capsys.readouterr().err
    assert len(list(read_questions(output))) == 40
    output.unlink()
    return problem


def test_questions_and_passages_of_two_encoders(world: World, other: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("faiss", reason="needs fidtools[cpu]")
    folder = tmp_path / "index"
    assert cli.run(["index", str(world.embeddings), "--type", "flat", "-o", str(folder), "-q"]) == 0
    for search, path in (("--embeddings", world.embeddings), ("--index", folder)):
        problem = said_and_forced(stored(world, search, path, "-k", 3, vectors=other / "q.npy"), tmp_path, capsys)
        difference = "written by another encoder than that of the questions: they differ in weights"
        assert problem == f"{path}: {difference}"


@pytest.mark.parametrize("option", ["--rescore", "--verify"])
@pytest.mark.parametrize("foreign", [False, True])
def test_float_vectors_of_another_encoder(
    world: World, other: Path, option: str, foreign: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where nothing is known of the questions' vectors."""
    vectors = world.folder / "q.npy"
    if foreign:
        with stream_embeddings(tmp_path / "q.npy", 16, "float32", {}) as writer:
            writer.append([f"q{i}" for i in range(40)], np.load(vectors))
        vectors = tmp_path / "q.npy"
    arguments = stored(world, "--embeddings", world.embeddings, option, other / "p.npy", "-k", 3, vectors=vectors)
    what = "the vectors that are searched" if foreign else "that of the questions"
    problem = f"{other / 'p.npy'}: written by another encoder than {what}: they differ in weights"
    assert said_and_forced(arguments, tmp_path, capsys) == problem


@pytest.mark.parametrize("option", ["--rescore", "--verify"])
def test_shorter_vectors_are_no_measure_of_longer_ones(world: World, option: str, tmp_path: Path, capsys) -> None:
    embed(world, world.passages, tmp_path / "p8.npy", "--dim", "8")
    arguments = stored(world, "--embeddings", world.embeddings, option, tmp_path / "p8.npy", "-k", 3)
    problem = f"{tmp_path / 'p8.npy'}: vectors of length 8, but those that are searched have 16"
    assert said_and_forced(arguments, tmp_path, capsys) == problem


def test_shards_of_two_encoders(world: World, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, folder in enumerate((world.folder, other)):
        for ending in ("npy", "ids", "json"):
            shutil.copy(folder / f"q.{ending}", tmp_path / f"q.0000{number}.{ending}")
    assert cli.run(stored(world, "--embeddings", world.embeddings, vectors=tmp_path / "q.npy")) == 1
    first, second = tmp_path / "q.00000.npy", tmp_path / "q.00001.npy"
    problem = f"fidtools: {second}: written by another encoder than {first}: they differ in weights\n"
    assert capsys.readouterr().err.startswith(problem)


def test_vectors_of_other_texts_under_the_same_ids(world: World, tmp_path: Path, capsys) -> None:
    questions = [orjson.loads(line) for line in world.questions.read_bytes().splitlines()]
    questions[4]["question"] = "an edited one"
    questions[6]["question"] = "another edited one"
    write_lines(tmp_path / "q.jsonl", questions)
    arguments = stored(world, "--embeddings", world.embeddings, "-k", 3, questions=tmp_path / "q.jsonl")
    problem = said_and_forced(arguments, tmp_path, capsys)
    text = f"{world.folder / 'q.npy'} has the vector of another text under the id q4 (got an edited one)"
    assert problem == f"{tmp_path / 'q.jsonl'}:5: field 'question': {text}"


def test_two_files_without_ids_are_not_taken_for_one_another(world: World, tmp_path: Path, capsys) -> None:
    write_lines(tmp_path / "a.jsonl", [{"question": text} for text in ("one word", "two words")])
    write_lines(tmp_path / "b.jsonl", [{"question": text} for text in ("one word", "three words")])
    embed(world, tmp_path / "a.jsonl", tmp_path / "a.npy", "--questions")
    search = ["--embeddings", world.embeddings, "-k", 3, "-o", tmp_path / "out.jsonl"]
    for name, code in (("a", 0), ("b", 1)):
        arguments = stored(world, *search, questions=tmp_path / f"{name}.jsonl", vectors=tmp_path / "a.npy")
        assert cli.run(arguments) == code
    assert "b.jsonl:2: field 'question': " in capsys.readouterr().err


def test_a_record_without_hashes_of_single_questions(world: World, tmp_path: Path, capsys) -> None:
    for ending in ("npy", "ids", "json"):
        shutil.copy(world.folder / f"q.{ending}", tmp_path / f"q.{ending}")
    record = orjson.loads((tmp_path / "q.json").read_bytes())
    hashes = record.pop("text_sha256_by_row")
    first = next(iter(read_questions(world.questions))).question
    assert (len(hashes), hashes[:16]) == (40 * 16, hashlib.sha256(first.encode()).hexdigest()[:16])
    arguments = stored(
        world, "--embeddings", world.embeddings, "-o", tmp_path / "out.jsonl", vectors=tmp_path / "q.npy"
    )
    write_json(tmp_path / "q.json", record)
    assert cli.run(arguments) == 0
    assert f"{tmp_path / 'q.npy'} has no hashes of single questions: texts are not compared" in capsys.readouterr().err
    write_json(tmp_path / "q.json", record | {"text_sha256_by_row": hashes[1:]})
    assert cli.run(arguments) == 1
    problem = f"{tmp_path / 'q.json'}: field 'text_sha256_by_row': must be a string of 16 digits for each of 40 rows"
    assert problem in capsys.readouterr().err


def test_vectors_of_passages_are_not_those_of_questions(world: World, tmp_path: Path, capsys) -> None:
    pytest.importorskip("faiss", reason="needs fidtools[cpu]")
    index = ["index", world.embeddings, "--type", "flat", "--verify", world.embeddings, "-o", tmp_path / "index", "-q"]
    for arguments in (index, stored(world, "--embeddings", world.embeddings, vectors=world.embeddings)):
        assert cli.run([*map(str, arguments)]) == 2
        problem = f"fidtools: {world.embeddings} has vectors of passages, not of questions\n"
        assert capsys.readouterr().err.startswith(problem)
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("zeros", [0, 2])
def test_vectors_of_zeros_are_counted(world: World, tmp_path: Path, zeros: int, capfd) -> None:
    vectors = np.load(world.folder / "q.npy")
    vectors[:zeros] = 0
    ids = [str(question.id) for question in read_questions(world.questions)]
    with stream_embeddings(tmp_path / "q.npy", vectors.shape[1], "float32", {"source": "elsewhere"}) as writer:
        writer.append(ids, vectors)
    arguments = stored(world, "--embeddings", world.embeddings, "-k", 3, vectors=tmp_path / "q.npy")
    arguments.remove("-q")
    assert cli.run([*arguments, "-o", str(tmp_path / "out.jsonl")]) == 0
    said = [line for line in capfd.readouterr().err.splitlines() if "a vector of zeros" in line]
    message = f"questions with a vector of zeros, whose passages all score 0, in the order of the corpus: {zeros}"
    assert said == [message] * bool(zeros)
