"""index and `retrieve --index`: every type finds what exact search finds, as far as it claims to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fidtools import cli
from fidtools.data.embedding_writer import create_embeddings
from fidtools.data.read import read_questions
from fidtools.data.vector_type import VectorType
from fidtools.errors import FidtoolsError, MismatchError, MissingExtraError, UsageError
from fidtools.search import faiss_file
from fidtools.search.faiss_build import build_index
from fidtools.search.index_specs import IndexSpec, index_spec

from .conftest import World

pytest.importorskip("faiss", reason="needs fidtools[cpu]")
REPOSITORY = Path(__file__).parents[2]
ENCODER = {"weights": "same"}


def embeddings(path: Path, vectors: np.ndarray, **meta: object) -> Path:
    ids = [f"i{row}" for row in range(len(vectors))]
    with create_embeddings(
        path, len(vectors), VectorType("float32", vectors.shape[1]), {"encoder": ENCODER} | meta, ids=ids
    ) as out:
        out.write(0, vectors)
    return path


def clustered(rows: int, dim: int = 32) -> np.ndarray:
    """Vectors around 50 centres whose norms differ, in the order of their centres."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(50, dim)) * draw.uniform(0.5, 2, (50, 1))
    near = np.sort(draw.integers(0, 50, rows))
    return (centres[near] + 0.5 * draw.normal(size=(rows, dim))).astype(np.float32)


BARS = {"flat": 1.0, "fp16": 0.99, "sq8": 0.95, "hnsw": 0.95, "ivf": 0.7, "ivfpq": 0.6}


@pytest.mark.parametrize("kind", BARS)
def test_recall_against_exact_search(tmp_path: Path, kind: str) -> None:
    vectors = clustered(6000)
    path = embeddings(tmp_path / "p.npy", vectors)
    asked = embeddings(tmp_path / "q.npy", vectors[::60] + 0.1)
    chosen = index_spec(kind, 6000, 32)  # type: ignore[arg-type]
    meta = build_index(path, tmp_path / "index", chosen, questions=asked, k=20)
    assert meta["recall"] == {"k": 20, "questions": 100, "value": pytest.approx(meta["recall"]["value"])}
    assert meta["recall"]["value"] >= BARS[kind]
    assert meta["bytes"] == (tmp_path / "index" / "vectors.faiss").stat().st_size
    assert (tmp_path / "index" / "passages.ids").read_bytes() == (tmp_path / "p.ids").read_bytes()


def test_recall_is_by_inner_product_and_counts_misses(tmp_path: Path) -> None:
    """Searching one of many lists finds some of the best and not all of them."""
    path = embeddings(tmp_path / "p.npy", vectors := clustered(3000))
    asked = embeddings(tmp_path / "q.npy", vectors[::30])
    few, all_lists = (
        build_index(path, tmp_path / "index", IndexSpec("IVF32,Flat", f"nprobe={n}"), questions=asked, k=50)
        for n in (1, 32)
    )
    assert all_lists["recall"]["value"] == 1.0
    assert 0.1 < few["recall"]["value"] < 0.95


def test_the_training_sample_is_random(tmp_path: Path) -> None:
    """The file is sorted by cluster: lists made from its head would hold nearly all of the rest in one."""
    import faiss

    path = embeddings(tmp_path / "p.npy", clustered(4000))
    build_index(path, tmp_path / "index", IndexSpec("IVF10,Flat", "nprobe=1", training_rows=400))
    index = faiss.read_index(str(tmp_path / "index" / "vectors.faiss"))
    sizes = [index.invlists.list_size(i) for i in range(10)]
    assert sum(sizes) == 4000
    assert max(sizes) < 1600


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "p.npy", clustered(3000))
    for name in ("a", "b"):
        build_index(path, tmp_path / name, index_spec("ivf", 3000, 32))
    assert (tmp_path / "a" / "vectors.faiss").read_bytes() == (tmp_path / "b" / "vectors.faiss").read_bytes()


def test_questions_of_another_encoder_are_refused(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "p.npy", clustered(200))
    asked = embeddings(tmp_path / "q.npy", clustered(20), encoder={"weights": "other"})
    with pytest.raises(MismatchError, match="not embedded by the retriever"):
        build_index(path, tmp_path / "index", IndexSpec("Flat"), questions=asked)
    assert not (tmp_path / "index").exists()


def test_unknown_indexes(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "p.npy", clustered(200))
    with pytest.raises(UsageError, match="FAISS cannot make the index Nonsense7 of vectors of length 32"):
        build_index(path, tmp_path / "index", IndexSpec("Nonsense7"))
    with pytest.raises(UsageError, match="does not accept the parameters nprobe=3"):
        build_index(path, tmp_path / "index", IndexSpec("Flat", "nprobe=3"))
    with pytest.raises(UsageError, match="search parameter nprobe=1_0: must be a number from 1 to"):
        build_index(path, tmp_path / "index", IndexSpec("IVF4,Flat", "nprobe=1_0"))


def test_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_file.load_faiss(), "get_num_gpus", lambda: 0, raising=False)
    path = embeddings(tmp_path / "p.npy", clustered(200))
    with pytest.raises(FidtoolsError, match="FAISS finds no GPU"):
        build_index(path, tmp_path / "index", IndexSpec("Flat"), gpu=True)


def test_without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"fidtools\[cpu\]"):
        faiss_file.load_faiss()


def ranked(path: Path) -> list[list[tuple[str | None, float | None]]]:
    return [[(p.id, p.score) for p in question.ctxs or []] for question in read_questions(path)]


def test_a_flat_index_gives_what_exact_search_gives(world: World, tmp_path: Path) -> None:
    assert cli.run(["index", str(world.embeddings), "--type", "flat", "-o", str(tmp_path / "i"), "-q"]) == 0
    exact, by_index = tmp_path / "exact.jsonl", tmp_path / "index.jsonl"
    assert cli.run(world.arguments("--embeddings", world.embeddings, "-k", 500, "-o", exact)) == 0
    assert cli.run(world.arguments("--index", tmp_path / "i", "-k", 500, "-o", by_index)) == 0
    for one, other in zip(ranked(exact), ranked(by_index), strict=True):
        assert len(one) == len(other) == 150
        assert dict(one) == pytest.approx(dict(other), abs=1e-5)
        assert [i for i, _ in one[:20]] == [i for i, _ in other[:20]]


def test_a_list_that_is_too_short_gives_fewer_passages(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FAISS fills up with −1, which must not become the last passage of the corpus."""
    factory = ["--factory", "IVF3,Flat", "--parameters", "nprobe=1"]
    assert cli.run(["index", str(world.embeddings), *factory, "-o", str(tmp_path / "i"), "-q"]) == 0
    for parameters, complete in (([], False), (["--index-parameters", "nprobe=3"], True)):
        arguments = world.arguments("--index", tmp_path / "i", "-k", 150, "-o", tmp_path / "out.jsonl", *parameters)
        assert cli.run(arguments) == 0
        for found in ranked(tmp_path / "out.jsonl"):
            ids = [i for i, _ in found]
            assert len(set(ids)) == len(ids)
            assert (len(ids) == 150) is complete
            assert np.isfinite([score for _, score in found]).all()
        said = "questions for which the index found fewer than 150 passages: 40\n" if not complete else ""
        assert capsys.readouterr().err.partition("  search more")[0] == said


def test_a_type_beside_a_factory_has_no_effect(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--type", "ivf", "--factory", "Flat", "-o", str(tmp_path / "i"), "-q"]
    assert cli.run(["index", str(world.embeddings), *given]) == 0
    assert capsys.readouterr().err == "--type has no effect with --factory\n"
    assert json.loads((tmp_path / "i" / "meta.json").read_bytes())["factory"] == "Flat"


def test_an_index_in_the_place_of_embeddings(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build_index(world.embeddings, tmp_path / "i", IndexSpec("Flat"))
    assert cli.run(world.arguments("--embeddings", tmp_path / "i")) == 2
    said = f"fidtools: {tmp_path}/i: an index of embeddings, not embeddings\n"
    assert capsys.readouterr().err == f"{said}  `--index` of retrieve, search and serve takes it\n"


def test_embeddings_in_the_place_of_an_index(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(world.arguments("--index", world.embeddings)) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"fidtools: {world.embeddings}: not a FAISS index folder of fidtools\n")
    assert "--embeddings searches X.npy itself" in said


def test_an_index_of_other_passages_or_encoder(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_index(embeddings(tmp_path / "p.npy", clustered(150, 16)), tmp_path / "i", IndexSpec("Flat"))
    assert cli.run(world.arguments("--index", tmp_path / "i")) == 1
    assert f"{tmp_path / 'i'}: its 150 rows are not the 150 passages of" in capsys.readouterr().err
    assert cli.run(["index", str(world.embeddings), "--type", "flat", "-o", str(tmp_path / "i"), "-q"]) == 0
    meta = json.loads((tmp_path / "i" / "meta.json").read_bytes())
    meta["encoder"]["weights"] = "other"
    (tmp_path / "i" / "meta.json").write_text(json.dumps(meta))
    assert cli.run(world.arguments("--index", tmp_path / "i")) == 1
    assert "written by another encoder than that of the questions: they differ in weights" in capsys.readouterr().err


def test_within_is_exact_only(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(world.arguments("--index", tmp_path, "--within", "doc_id")) == 2
    assert "give --embeddings instead of --index" in capsys.readouterr().err


def test_shards_of_questions_are_verified_as_one_file(tmp_path: Path) -> None:
    path, asked = embeddings(tmp_path / "p.npy", clustered(800)), clustered(1500) + 0.1
    whole = embeddings(tmp_path / "q.npy", asked)
    for number, shard in enumerate(np.split(asked, [700, 1000])):
        embeddings(tmp_path / f"parts.{number:05d}.npy", shard)
    few = IndexSpec("IVF16,Flat", parameters="nprobe=1")
    found = [
        build_index(path, tmp_path / "index", few, questions=questions, k=20)["recall"]
        for questions in (whole, tmp_path / "parts.npy")
    ]
    assert found[0] == found[1]
    assert found[0]["questions"] == 1000
    assert found[0]["value"] < 1


def test_the_command_reports_recall(world: World, tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from fidtools.cli import main; main()"]
    verify = ["--verify", str(world.folder / "q.npy"), "-k", "10"]
    arguments = [*program, "index", str(world.embeddings), "--type", "fp16", *verify, "-o", str(tmp_path / "i")]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert "recall@10 of 40 questions against exact search: " in done.stderr


def test_the_process_that_opens_first_leaves_out_what_this_one_does(tmp_path):
    """python -I ignores PYTHONPATH, so a file numpy.py that lies there must not be imported in the other process."""
    build_index(embeddings(tmp_path / "p.npy", clustered(100)), tmp_path / "index", IndexSpec("Flat"))
    (tmp_path / "numpy.py").write_text("import os; os.abort()")
    code = """import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])
from fidtools.search.faiss_file import open_file
print(open_file(Path(sys.argv[2]), 100, 32).ntotal)"""
    command = [sys.executable, "-I", "-c", code, str(REPOSITORY), str(tmp_path / "index" / "vectors.faiss")]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert (ran.stdout, ran.stderr) == ("100\n", "")
