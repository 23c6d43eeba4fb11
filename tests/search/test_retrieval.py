"""retrieve: brute force over the vectors on disk, joined to the texts by row; what does not fit together is named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch

from fidtools import cli
from fidtools.data.jsonl import write_json
from fidtools.data.read import read_passages, read_questions
from fidtools.data.records import Question
from fidtools.retriever.encoding import load_retriever
from fidtools.retriever.losses import similarity
from tests import two_ranks
from tests.models import WORDS, bert_folder

from .conftest import World, embed

PROGRAM = [sys.executable, "-c", "from fidtools.cli import main; main()"]


def retrieved(world: World, *more: object) -> list[Question]:
    output = world.folder / "found.jsonl"
    assert cli.run(world.arguments("-o", output, *more)) == 0
    return list(read_questions(output))


def expected(world: World, k: int, within: bool = False) -> list[list[tuple[str, float]]]:
    """Every question against every passage (of its document), in float64."""
    passages = list(read_passages(world.passages))
    vectors = np.load(world.embeddings).astype(np.float64)
    lists = []
    for question, vector in zip(read_questions(world.questions), np.load(world.folder / "q.npy"), strict=True):
        scores = (vectors @ vector.astype(np.float64)).astype(np.float32)
        rows = [row for row, p in enumerate(passages) if not within or p.doc_id == question.doc_id]
        ranked = sorted(rows, key=lambda row: (-scores[row], row))[:k]
        lists.append([(str(passages[row].id), float(scores[row]) / 16**0.5) for row in ranked])
    return lists


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("k", [1, 10, 1000])
def test_equals_brute_force(world: World, within: bool, k: int) -> None:
    found = retrieved(world, "-k", k, "--embeddings", world.embeddings, *(["--within", "doc_id"] if within else []))
    ranked = [[(p.id, p.scores["dense"]) for p in question.ctxs or []] for question in found]
    assert ranked == expected(world, k, within)


@pytest.mark.parametrize("normalize", [False, True])
def test_a_score_is_the_one_that_training_uses(world: World, tmp_path: Path, normalize: bool) -> None:
    model, embeddings = tmp_path / "model", tmp_path / "p.npy"
    shutil.copytree(world.retriever, model)
    write_json(model / "retriever.json", {"normalize": normalize, "pooling": "mean"})
    embed(world, world.passages, embeddings, model=model)
    arguments = ["retrieve", world.questions, "--retriever", model, "-p", world.passages, "--embeddings", embeddings]
    assert cli.run([*map(str, arguments), "-k", "5", "--precision", "float32", "-o", str(tmp_path / "r.jsonl")]) == 0
    retriever = load_retriever(model)
    for question in read_questions(tmp_path / "r.jsonl"):
        asked = torch.from_numpy(retriever.encode_questions([question.question]))
        vectors = torch.from_numpy(retriever.encode_passages(question.ctxs or []))
        trained = similarity(asked, vectors, normalized=normalize).tolist()
        assert [passage.scores["dense"] for passage in question.ctxs or []] == pytest.approx(trained, rel=1e-4)


def test_passages_come_with_all_they_have(world: World) -> None:
    originals = {p.id: p for p in read_passages(world.passages)}
    for question in retrieved(world, "-k", 5, "--embeddings", world.embeddings):
        for passage in question.ctxs or []:
            original = originals[passage.id]
            assert (passage.text, passage.doc_id, passage.extra) == (original.text, original.doc_id, original.extra)
            assert passage.score == passage.scores["dense"]


def test_shards_are_one_corpus(world: World, tmp_path: Path) -> None:
    lines = world.passages.read_bytes().splitlines(keepends=True)
    for number, part in enumerate((lines[:70], lines[70:])):
        (tmp_path / "part.jsonl").write_bytes(b"".join(part))
        embed(world, tmp_path / "part.jsonl", tmp_path / f"p[1].{number:05d}.npy")
    shards = retrieved(world, "-k", 7, "--embeddings", tmp_path / "p[1].npy")
    assert [[p.id for p in q.ctxs or []] for q in shards] == [[i for i, _ in line] for line in expected(world, 7)]


def message(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int = 1) -> str:
    capsys.readouterr()
    assert cli.run(arguments) == code
    caught = capsys.readouterr()
    assert caught.out == ""
    return caught.err


def test_passages_of_another_corpus(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = world.passages.read_bytes().splitlines(keepends=True)
    for name, other in {"fewer": lines[1:], "reordered": lines[::-1]}.items():
        (tmp_path / name).write_bytes(b"".join(other))
        arguments = world.arguments("--embeddings", world.embeddings)
        arguments[arguments.index("-p") + 1] = str(tmp_path / name)
        said = message(capsys, arguments)
        assert said.startswith(f"fidtools: {world.embeddings}: its 150 rows are not the {len(other)} passages")
        first = {"fewer": "row 0 has the id p0, there p1", "reordered": "row 0 has the id p0, there p149"}[name]
        assert f"{tmp_path / name}: {first}" in said


def test_another_encoder_unless_forced(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = bert_folder(tmp_path / "other", layers=1, seed=1)
    arguments = world.arguments("--embeddings", world.embeddings, "-o", tmp_path / "out.jsonl")
    arguments[arguments.index("--retriever") + 1] = str(other)
    said = message(capsys, arguments)
    assert f"{world.embeddings}: written by another encoder than that of the questions: they differ in weights" in said
    assert not (tmp_path / "out.jsonl").exists()
    assert cli.run([*arguments, "--force"]) == 0
    assert "written by another encoder" in capsys.readouterr().err
    assert len(list(read_questions(tmp_path / "out.jsonl"))) == 40


def test_passages_may_be_cut_at_another_length(world: World, tmp_path: Path) -> None:
    embed(world, world.passages, tmp_path / "short.npy", "--passage-maxlength", "5")
    found = world.arguments("--embeddings", tmp_path / "short.npy", "-o", tmp_path / "r.jsonl")
    assert cli.run(found) == 0


def test_truncated_vectors(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in ("npy", "ids", "json"):
        shutil.copy(world.folder / f"p.{suffix}", tmp_path / f"p.{suffix}")
    (tmp_path / "p.npy").write_bytes(world.embeddings.read_bytes()[:-64])
    said = message(capsys, world.arguments("--embeddings", tmp_path / "p.npy"))
    assert said.startswith(f"fidtools: {tmp_path / 'p.npy'}: truncated or corrupt .npy file")


def test_within_needs_a_known_document(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for doc_id, problem in ((None, "missing in question a"), ("d9", r"no passage of")):
        line = {"id": "a", "question": WORDS[0]} | ({"doc_id": doc_id} if doc_id else {})
        (tmp_path / "q.jsonl").write_bytes(orjson.dumps(line))
        arguments = world.arguments("--embeddings", world.embeddings, "--within", "doc_id")
        arguments[1] = str(tmp_path / "q.jsonl")
        assert problem in message(capsys, arguments)


def test_exactly_one_of_embeddings_and_index(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--embeddings", world.embeddings, "--index", world.folder]
    for given in ([], both):
        assert "exactly one of --embeddings (exact search) or --index" in message(capsys, world.arguments(*given), 2)


def test_options_without_effect_are_named(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unused = ["--index-parameters", "nprobe=3", "--oversample", "2", "--max-memory", "2"]
    assert cli.run(world.arguments("--embeddings", world.embeddings, *unused, "-o", tmp_path / "r.jsonl")) == 0
    said = capsys.readouterr().err.splitlines()
    assert said == ["--index-parameters has no effect without --index", "--oversample has no effect without --rescore"]


def test_the_first_line_is_enough(world: World) -> None:
    arguments = [*PROGRAM, *world.arguments("--embeddings", world.embeddings)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert orjson.loads(process.stdout.readline())["id"] == "q0"
        process.stdout.close()
        assert process.stderr.read() == b""


def test_two_ranks_write_the_same_bytes(world: World, tmp_path: Path) -> None:
    arguments = world.arguments("--embeddings", world.embeddings, "-k", 20)
    commands = {"whole.jsonl": arguments, "within.jsonl": [*arguments, "--within", "doc_id"]}
    for name, command in commands.items():
        assert cli.run([*command, "-o", str(tmp_path / f"alone-{name}")]) == 0
    two_ranks.run_commands(*([*command, "-o", str(tmp_path / name)] for name, command in commands.items()))
    for name in commands:
        assert (tmp_path / name).read_bytes() == (tmp_path / f"alone-{name}").read_bytes()
