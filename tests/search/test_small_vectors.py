"""Search in int8, binary and truncated embeddings: exact for what is stored, better with --rescore, --verify counts."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from fidtools import cli
from fidtools.data.jsonl import write_json
from fidtools.data.read import read_passages, read_questions
from fidtools.data.vector_type import VectorType
from fidtools.search.exact import search
from fidtools.search.vectors import ArrayVectors, DecodedVectors

from .conftest import World, embed
from .test_exact import MAKERS, brute_force, normal

SMALL = {
    "int8": ("--dtype", "int8"),
    "binary": ("--dtype", "binary"),
    "dim 8": ("--dim", "8"),
    "int8 dim 8": ("--dtype", "int8", "--dim", "8"),
}


def kind_of(name: str, vectors: np.ndarray) -> VectorType:
    ranges = np.stack([vectors[::3].min(0), vectors[::3].max(0)]) if name == "int8" else None
    return VectorType(name, vectors.shape[1], ranges)


@pytest.mark.parametrize("name", ["int8", "binary"])
@pytest.mark.parametrize("product", ["bf16", "float32"])
@pytest.mark.parametrize("vectors", MAKERS)
def test_equal_to_brute_force_over_what_the_codes_stand_for(vectors: str, product: str, name: str) -> None:
    passages, questions = MAKERS[vectors](3001, 24), normal(13, 24, seed=9)
    kind = kind_of(name, passages)
    stored = kind.encode(passages)
    found = search(questions, DecodedVectors(ArrayVectors(stored), kind), 50, product=product, memory=1 << 20)
    rows, scores = brute_force(questions, kind.decode(stored), 50)
    np.testing.assert_array_equal(found.rows, rows)  # ties in the order of the corpus
    np.testing.assert_array_equal(found.scores, scores)


@pytest.fixture(scope="module")
def small(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embeddings of the world's passages in every small form, as `NAME.npy`."""
    folder = tmp_path_factory.mktemp("small")
    for name, options in SMALL.items():
        embed(world, world.passages, folder / f"{name}.npy", *options)
    return folder


def stored_floats(path: Path) -> np.ndarray:
    """What the numbers in a file stand for, written down once more from the documentation."""
    stored, meta = np.load(path), json.loads(path.with_suffix(".json").read_text())
    if meta["dtype"] == "binary":
        return np.where(np.unpackbits(stored, axis=1) == 1, 1, -1).astype(np.float32) * np.float32(meta["dim"] ** -0.5)
    if meta["dtype"] == "int8":
        low, high = np.asarray(meta["ranges"], np.float32)
        return low + (high - low) / np.float32(255) * (stored.astype(np.float32) + np.float32(128.5))
    return stored


def lists(path: Path) -> list[list[tuple[str, float]]]:
    return [[(str(p.id), p.scores["dense"]) for p in question.ctxs or []] for question in read_questions(path)]


def brute(world: World, passages: np.ndarray, questions: np.ndarray, k: int, candidates: np.ndarray | None = None):
    """Ranked lists by hand; `candidates` (m × any) restricts each question to these rows."""
    ids = [str(p.id) for p in read_passages(world.passages)]
    scores = (passages.astype(np.float64) @ questions.astype(np.float64).T).astype(np.float32).T
    found = []
    for number, line in enumerate(scores):
        rows = range(len(ids)) if candidates is None else candidates[number]
        best = sorted(rows, key=lambda row: (-line[row], row))[:k]
        found.append([(ids[row], float(line[row]) / passages.shape[1] ** 0.5) for row in best])
    return found


@pytest.mark.parametrize("name", SMALL)
def test_retrieve_is_exact_for_what_is_stored(world: World, small: Path, name: str, tmp_path: Path) -> None:
    output = tmp_path / "found.jsonl"
    assert cli.run(world.arguments("--embeddings", small / f"{name}.npy", "-k", 10, "-o", output)) == 0
    passages = stored_floats(small / f"{name}.npy")
    questions = np.load(world.folder / "q.npy")[:, : passages.shape[1]]
    assert lists(output) == brute(world, passages, questions, 10)


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("name", SMALL)
def test_rescored_candidates_have_the_order_and_scores_of_float_vectors(
    world: World, small: Path, name: str, within: bool, tmp_path: Path
) -> None:
    output, more = tmp_path / "found.jsonl", ["--within", "doc_id"] if within else []
    options = ["--embeddings", small / f"{name}.npy", "--rescore", world.embeddings, "--oversample", 3, "-k", 5]
    assert cli.run(world.arguments(*options, *more, "-o", output)) == 0
    passages, questions = stored_floats(small / f"{name}.npy"), np.load(world.folder / "q.npy")
    doc_ids = np.array([p.doc_id for p in read_passages(world.passages)])
    asked = [q.doc_id for q in read_questions(world.questions)]
    candidates = []
    for question, doc_id in zip(questions, asked, strict=True):
        rows = np.flatnonzero(doc_ids == doc_id) if within else np.arange(len(doc_ids))
        scores = (passages[rows].astype(np.float64) @ question[: passages.shape[1]].astype(np.float64)).astype("f4")
        candidates.append(rows[np.lexsort((rows, -scores))[:15]])
    assert lists(output) == brute(world, np.load(world.embeddings), questions, 5, np.array(candidates, object))


def test_a_normalized_encoder_gives_truncated_vectors_of_norm_1(world: World, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(world.retriever, model)
    write_json(model / "retriever.json", {"normalize": True, "pooling": "mean"})
    embed(world, world.passages, tmp_path / "p.npy", "--dim", "8", model=model)
    embed(world, world.passages, tmp_path / "full.npy", model=model)
    embed(world, world.questions, tmp_path / "q.npy", "--questions", "--dim", "8", model=model)
    passages, questions = np.load(tmp_path / "p.npy"), np.load(tmp_path / "q.npy")
    full = np.load(tmp_path / "full.npy")[:, :8]
    np.testing.assert_allclose(passages, full / np.linalg.norm(full, axis=1, keepdims=True), rtol=1e-6)
    arguments = world.arguments("--embeddings", tmp_path / "p.npy", "-k", 10, "-o", tmp_path / "found.jsonl")
    arguments[arguments.index("--retriever") + 1] = str(model)
    assert cli.run(arguments) == 0
    ids = [[identifier for identifier, _ in line] for line in lists(tmp_path / "found.jsonl")]
    assert ids == [[identifier for identifier, _ in line] for line in brute(world, passages, questions, 10)]
    best = lists(tmp_path / "found.jsonl")[0][0][1]
    assert best == pytest.approx(8**0.5 * float((passages @ questions[0]).max()), rel=1e-5)


def test_verify_reports_what_is_lost(world: World, small: Path, tmp_path: Path, capsys) -> None:
    arguments = [*world.arguments("--verify", world.embeddings, "-k", 10, "-o", tmp_path / "found.jsonl")]
    arguments.remove("-q")
    exact = brute(world, np.load(world.embeddings), np.load(world.folder / "q.npy"), 10)
    rescored = ["--embeddings", small / "int8.npy", "--rescore", world.embeddings]
    for more in (["--embeddings", small / "binary.npy"], rescored, ["--embeddings", world.embeddings]):
        assert cli.run([*arguments, *map(str, more)]) == 0
        pattern = r"recall@10 of 40 questions against exact search of (\S+): ([\d.]+); the same first passage: ([\d.]+)"
        said = re.search(pattern, capsys.readouterr().err)
        found = lists(tmp_path / "found.jsonl")
        shares = [len({i for i, _ in e} & {i for i, _ in f}) / 10 for e, f in zip(exact, found, strict=True)]
        first = [e[0][0] == f[0][0] for e, f in zip(exact, found, strict=True)]
        assert said is not None
        assert said[1] == str(world.embeddings)
        assert (float(said[2]), float(said[3])) == pytest.approx((np.mean(shares), np.mean(first)), abs=6e-5)
    assert (said[2], said[3]) == ("1.0000", "1.0000")


@pytest.mark.parametrize("option", ["--rescore", "--verify"])
def test_small_vectors_cannot_be_the_measure(world: World, small: Path, option: str, capsys) -> None:
    assert cli.run(world.arguments("--embeddings", world.embeddings, option, small / "int8.npy")) == 2
    said = capsys.readouterr().err
    assert said == f"fidtools: {option} needs float32 or float16 embeddings; {small / 'int8.npy'} has smaller ones\n"


def test_a_dimension_beyond_the_retrievers(world: World, tmp_path: Path, capsys) -> None:
    given = ["embed", world.passages, "--retriever", world.retriever, "-o", tmp_path / "p.npy", "--dim", 17]
    assert cli.run([*map(str, given)]) == 2
    assert "--dim 17 exceeds the 16 dimensions of the retriever's vectors" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SMALL)
def test_a_faiss_index_of_small_vectors_finds_the_same(world: World, small: Path, name: str, tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="needs fidtools[cpu]")
    path, folder = small / f"{name}.npy", tmp_path / "index"
    command = ["index", path, "--type", "flat", "--verify", world.folder / "q.npy", "-k", 5, "-o", folder, "-q"]
    assert cli.run([*map(str, command)]) == 0
    if name != "binary":  # where many passages have the same bits, and FAISS lists them in another order
        assert json.loads((folder / "meta.json").read_text())["recall"]["value"] == 1
    assert cli.run(world.arguments("--index", folder, "-k", 5, "-o", tmp_path / "index.jsonl")) == 0
    assert cli.run(world.arguments("--embeddings", path, "-k", 5, "-o", tmp_path / "exact.jsonl")) == 0
    ours, theirs = ([score for line in lists(tmp_path / f"{n}.jsonl") for _, score in line] for n in ("exact", "index"))
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)


def test_an_interrupted_int8_run_is_continued_with_the_same_ranges(world: World, small: Path, tmp_path: Path) -> None:
    embed(world, world.passages, tmp_path / "p.npy", "--dtype", "int8", "--resume")
    before = (tmp_path / "p.npy").stat().st_mtime_ns
    for budget in ("16384", "1"):  # may change the last digits of measured ranges, and is no other setting
        embed(world, world.passages, tmp_path / "p.npy", "--dtype", "int8", "--resume", "--token-budget", budget)
    assert (tmp_path / "p.npy").stat().st_mtime_ns == before, "finished: nothing to do"
    assert (tmp_path / "p.npy").read_bytes() == (small / "int8.npy").read_bytes()
