"""retrieve with vectors of questions that are on disk already: the same ranking as by the retriever that made them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from fidtools import cli
from fidtools.data.embedding_stream import stream_embeddings
from fidtools.data.read import read_passages, read_questions

from .conftest import World


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
