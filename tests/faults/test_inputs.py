"""Stale and foreign inputs: what a result was made from is compared by content, and a finished run is left alone."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from fidtools import cli
from fidtools.data.corpus import open_passages
from fidtools.data.hashes import file_sha256
from fidtools.training.loop import _Loop
from fidtools.training.run_record import with_hashes
from tests.toy_models import READER, RETRIEVER

PASSAGES = [{"id": f"p{i}", "title": "t", "text": f"Ada came from town {i}."} for i in range(4)]
CTXS = [p | {"score": -i, "scores": {"attention": float(i)}} for i, p in enumerate(PASSAGES)]
QUESTION = {"question": "Where was Ada born?", "answers": ["town 1"], "ctxs": CTXS}
SHORT = ["--steps", "2", "--batch", "2", "--eval-every", "1", "--precision", "float32"]
SEARCH = ["retrieve", "q.jsonl", "--retriever", RETRIEVER, "-p", "p.jsonl", "-k", "2", "-o", "r.jsonl", "-q"]
EXACT, INDEXED = [*SEARCH, "--embeddings", "e.npy"], [*SEARCH, "--index", "x"]


def lines(path: str | Path, *records: object) -> None:
    Path(path).write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands run, with questions and passages."""
    monkeypatch.chdir(tmp_path)
    lines("p.jsonl", *PASSAGES)
    lines("q.jsonl", *[QUESTION | {"id": f"q{i}"} for i in range(4)])
    return tmp_path


def embed(*more: str) -> int:
    return cli.run(["embed", "p.jsonl", "--retriever", RETRIEVER, "-o", "e.npy", "-q", *more])


def index() -> int:
    return cli.run(["index", "e.npy", "--type", "flat", "-o", "x", "-q"])


def ranking() -> list[list[str]]:
    return [[p["id"] for p in orjson.loads(line)["ctxs"]] for line in Path("r.jsonl").read_bytes().splitlines()]


def test_passages_with_other_texts_under_the_same_ids_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert (embed(), index(), cli.run(EXACT), cli.run(INDEXED)) == (0, 0, 0, 0)
    lines("p.jsonl", *PASSAGES[:3], PASSAGES[3] | {"text": "Ada came from elsewhere."})
    for command, what in ((EXACT, "e.npy"), (INDEXED, "x")):
        assert cli.run(command) == 1
        assert f"{what}: made from other texts than those of p.jsonl" in capsys.readouterr().err
        assert cli.run([*command, "--force"]) == 0


def test_another_number_of_passages_is_refused_whatever_is_forced(capsys: pytest.CaptureFixture[str]) -> None:
    assert (embed(), index()) == (0, 0)
    lines("p.jsonl", *PASSAGES[:3])
    for command in (EXACT, INDEXED):
        assert cli.run([*command, "--force"]) == 1
        assert "its 4 rows are not the 3 passages of p.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("edited", [None, 0, 3])
def test_shards_are_compared_with_their_own_passages(edited: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    for number, part in enumerate((PASSAGES[:1], PASSAGES[1:])):
        lines("part.jsonl", *part)
        shard = ["embed", "part.jsonl", "--retriever", RETRIEVER, "-o", f"e.0000{number}.npy", "-q"]
        assert cli.run(shard) == 0
    assert index() == 0
    if edited is not None:
        lines("p.jsonl", *[p | ({"text": "other"} if i == edited else {}) for i, p in enumerate(PASSAGES)])
    for command in (EXACT, INDEXED):
        assert cli.run(command) == (0 if edited is None else 1)
        assert (
            edited is None or f"somewhere in lines {'1 to 1' if edited == 0 else '2 to 4'}" in capsys.readouterr().err
        )


def test_embeddings_in_fortran_order_give_the_same_ranking() -> None:
    assert (embed(), cli.run(EXACT)) == (0, 0)
    right = ranking()
    np.save("e.npy", np.asfortranarray(np.load("e.npy")))
    assert (cli.run(EXACT), ranking()) == (0, right)
    assert (index(), cli.run(INDEXED), ranking()) == (0, 0, right)


def put(name: str, vectors: np.ndarray) -> None:
    """Embeddings as another program might write them."""
    np.save(name, vectors)
    ids = b"".join(f"{p['id']}\n".encode() for p in PASSAGES[: len(vectors)])
    Path(name).with_suffix(".ids").write_bytes(ids)
    from hashlib import sha256

    record = {"rows": vectors.shape[0], "dim": vectors.shape[1], "ids_sha256": sha256(ids).hexdigest()}
    Path(name).with_suffix(".json").write_bytes(orjson.dumps(record))


@pytest.mark.parametrize("width", [0, 7])
def test_vectors_of_another_length_are_refused(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    put("e.npy", np.ones((4, width), np.float32))
    assert cli.run(EXACT) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "fidtools: e.npy: contains no vectors" if not width else "fidtools: e.npy: vectors of length 7"
    )
    if width:
        assert (index(), cli.run(INDEXED)) == (0, 1)
        assert "x: vectors of length 7" in capsys.readouterr().err


def test_shards_of_two_lengths_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    put("e.00000.npy", np.ones((2, 7), np.float32))
    put("e.00001.npy", np.ones((2, 8), np.float32))
    assert (cli.run(EXACT), index()) == (1, 1)
    assert capsys.readouterr().err.count("e.00001.npy: vectors of length 8, but e.00000.npy has 7") == 2


def replaced(path: Path, content: bytes) -> None:
    """Other contents of the same size and modification time."""
    before = path.stat()
    path.with_name("new").write_bytes(content)
    os.replace(path.with_name("new"), path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_corpus_replaced_with_the_same_size_and_time_is_read_again(data: Path, in_place: bool) -> None:
    path, before = data / "p.jsonl", (data / "p.jsonl").stat()
    first = open_passages(path).text_sha256
    content = path.read_bytes().replace(b"town 2", b"city 2")
    if in_place:
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        replaced(path, content)
    found = open_passages(path)
    assert found[2].text == "Ada came from city 2."
    assert found.text_sha256 != first


def test_a_corpus_that_is_only_touched_or_copied_is_not_read_again(data: Path) -> None:
    open_passages(data / "p.jsonl")
    made = (data / "p.jsonl.rows" / "offsets.npy").stat().st_mtime_ns
    os.utime(data / "p.jsonl")
    open_passages(data / "p.jsonl")
    shutil.copyfile(data / "p.jsonl", data / "copy")
    os.replace(data / "copy", data / "p.jsonl")
    open_passages(data / "p.jsonl")
    assert (data / "p.jsonl.rows" / "offsets.npy").stat().st_mtime_ns == made


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b""])
def test_a_damaged_index_file_is_not_opened(
    damage: Callable[[bytes], bytes], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (embed(), index()) == (0, 0)
    ranked = ["bm25", "q.jsonl", "-p", "p.jsonl", "-o", "b.jsonl", "-q"]
    assert cli.run(ranked) == 0
    segment = max((data / "p.jsonl.bm25-tantivy" / "index").glob("*.*"), key=lambda path: path.stat().st_size)
    for path, command in ((data / "x" / "vectors.faiss", INDEXED), (segment, ranked)):
        path.write_bytes(damage(path.read_bytes()))
        assert cli.run(command) == 1
        assert path.name in capsys.readouterr().err


def test_an_index_file_that_finds_other_rows_is_named_even_when_its_record_fits(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import faiss

    assert (embed(), cli.run(["index", "e.npy", "--factory", "IVF1,Flat", "-o", "x", "-q"])) == (0, 0)
    path = data / "x" / "vectors.faiss"
    index = faiss.read_index(str(path))
    vectors = np.load("e.npy")
    index.reset()
    index.add_with_ids(vectors, np.arange(len(vectors)) + 100)
    faiss.write_index(index, str(path))
    meta = orjson.loads((data / "x" / "meta.json").read_bytes())
    meta |= {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
    (data / "x" / "meta.json").write_bytes(orjson.dumps(meta))
    assert cli.run(INDEXED) == 1
    assert "x/vectors.faiss: damaged: it finds rows beyond its vectors" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["offsets.npy", "id_hashes.npy", "id_rows.npy"])
@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\1\0", b"no array"])
def test_a_damaged_array_beside_a_corpus_is_named(
    name: str, damage: bytes, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_passages(data / "p.jsonl")
    (data / "p.jsonl.rows" / name).write_bytes(damage)
    assert cli.run(["bm25", "q.jsonl", "-p", "p.jsonl", "-o", "b.jsonl", "-q"]) == 1
    said = capsys.readouterr().err
    assert f"p.jsonl.rows/{name}: the index of the passages is damaged" in said
    assert "remove p.jsonl.rows: it is made again" in said


@pytest.mark.parametrize("record", [b"[]", b"null", b'{"format":3,"source":[]}', b"{"])
def test_a_damaged_record_beside_a_corpus_is_made_again(record: bytes, data: Path) -> None:
    open_passages(data / "p.jsonl")
    (data / "p.jsonl.rows" / "meta.json").write_bytes(record)
    assert len(open_passages(data / "p.jsonl")) == len(PASSAGES)


def test_finished_embeddings_are_not_encoded_again(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed() == 0
    made = (data / "e.npy").stat()
    (data / ".e.npy.done").write_bytes(b"\1" * 4)  # what a process killed at its very end leaves
    assert cli.run(["embed", "p.jsonl", "--retriever", RETRIEVER, "-o", "e.npy", "--resume"]) == 0
    assert "e.npy is finished; nothing to do" in capsys.readouterr().err
    assert (data / "e.npy").stat().st_ino == made.st_ino
    assert [path.name for path in data.glob(".*")] == []
    lines("p.jsonl", *PASSAGES[:3], PASSAGES[3] | {"text": "other"})
    assert embed("--resume") == 2
    assert "e.npy: the finished run used other settings: text_sha256 was " in capsys.readouterr().err
    assert (data / "e.npy").stat().st_ino == made.st_ino
    assert embed() == 0
    assert (data / "e.npy").stat().st_ino != made.st_ino
    whole = (data / "e.npy").read_bytes()
    (data / "e.npy").write_bytes(whole[:-1])  # a copy that was cut off
    assert embed("--resume") == 0
    assert (data / "e.npy").read_bytes() == whole


TRAIN: dict[str, list[str]] = {
    "train-reader": ["--reader", "start", "--n-context", "2"],
    "train-retriever": ["--retriever", "start"],
    "train-teacher": ["--teacher", "start"],
}


def arguments(command: str) -> list[str]:
    return [command, "q.jsonl", *TRAIN[command], *SHORT, "-o", "out", "--resume"]


def start(command: str) -> None:
    """The model that a run starts from."""
    if command != "train-teacher":
        shutil.copytree(READER if command == "train-reader" else RETRIEVER, "start")
        return
    lines("small.jsonl", *[QUESTION | {"id": f"q{i}"} for i in range(4)])
    teacher = ["train-teacher", "small.jsonl", "--coattention", "--hidden", "4", "--word-dim", "4", "--steps", "1"]
    assert cli.run([*teacher, "--batch", "2", "-o", "start", "-q"]) == 0


def stop_after_one_update(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    plain = _Loop._update

    def update(self: _Loop, step: int) -> None:
        if step == 1:
            raise KeyboardInterrupt
        plain(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(_Loop, "_update", update)
        assert cli.run([*arguments(command), "-q"]) == 130


@pytest.mark.parametrize("file", ["record.json", "state-*/progress.json", "state-*/*.safetensors"])
def test_a_damaged_state_is_named(
    file: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start("train-retriever")
    stop_after_one_update(monkeypatch, "train-retriever")
    for path in (data / "out.partial").glob(file):
        path.write_bytes(path.read_bytes()[:-9])
    assert cli.run([*arguments("train-retriever"), "-q"]) == 1
    problem, hint = capsys.readouterr().err.splitlines()[-2:]
    assert problem.startswith("fidtools: out.partial/")
    assert problem.endswith(": damaged")
    assert hint == "  remove out.partial to start from scratch"


@pytest.mark.parametrize("command", TRAIN)
def test_a_finished_run_is_not_trained_again(
    command: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start(command)
    stop_after_one_update(monkeypatch, command)
    left = data / "left"
    shutil.copytree("out.partial", left)
    assert cli.run([*arguments(command), "-q"]) == 0
    made = (data / "out" / "training.json").stat().st_ino
    for name in ("nothing", "a state without progress"):
        if name != "nothing":
            (left / "state-1" / "progress.json").unlink()
            shutil.copytree(left, "out.partial")
        capsys.readouterr()
        assert cli.run(arguments(command)) == 0, name
        assert "out is finished (2 updates); nothing to do" in capsys.readouterr().err
        assert (data / "out" / "training.json").stat().st_ino == made
        assert not Path("out.partial").exists()
    assert cli.run([*arguments(command), "--lr", "0.25"]) == 2
    assert "out: the finished run used other settings: lr was " in capsys.readouterr().err
    (data / "q.jsonl").write_bytes((data / "q.jsonl").read_bytes().replace(b"Ada", b"Eva"))
    assert cli.run(arguments(command)) == 2
    assert "out: the finished run used other settings: q.jsonl has other contents" in capsys.readouterr().err
    assert (data / "out" / "training.json").stat().st_ino == made


@pytest.mark.parametrize("command", TRAIN)
@pytest.mark.parametrize("edited", ["q.jsonl", "start"])
def test_a_run_is_not_continued_under_other_contents(
    command: str, edited: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start(command)
    stop_after_one_update(monkeypatch, command)
    capsys.readouterr()
    if edited == "start":
        with open(data / "start" / "config.json", "ab") as config:
            config.write(b"\n")
    else:
        (data / edited).write_bytes((data / edited).read_bytes().replace(b"Ada", b"Eva"))
    assert cli.run([*arguments(command), "-q"]) == 2
    assert (
        f"out.partial: the unfinished run used other settings: {edited} has other contents" in capsys.readouterr().err
    )
    assert Path("out.partial/state-1").is_dir()


def test_data_from_a_pipe_counts_by_its_content() -> None:
    readers = []
    for content in (b"one", b"other"):
        reader, writer = os.pipe()
        os.write(writer, content)
        os.close(writer)
        readers.append(reader)  # both stay open, so that they have two names
        record = with_hashes({"command": "train-reader", "train": f"/dev/fd/{reader}"})
        assert record["hashes"] == {"train": hashlib.sha256(content).hexdigest()}
    for reader in readers:
        os.close(reader)


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_from_a_model_on_the_hub_is_not_continued_after_another_commit(
    finished: bool, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fidtools.compute.hub import _snapshot

    cache = data / "hub" / "models--acme--model"
    for commit in ("1111", "2222"):
        shutil.copytree(RETRIEVER, cache / "snapshots" / commit)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("1111")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(data / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    _snapshot.cache_clear()
    monkeypatch.setitem(TRAIN, "train-retriever", ["--retriever", "acme/model"])
    if finished:
        assert cli.run(arguments("train-retriever")) == 0
        assert orjson.loads(Path("out/training.json").read_bytes())["hashes"]["retriever"] == "1111"
    else:
        stop_after_one_update(monkeypatch, "train-retriever")
    (cache / "refs" / "main").write_text("2222")
    _snapshot.cache_clear()  # as in a new process
    capsys.readouterr()
    assert cli.run(arguments("train-retriever")) == 2
    assert "used other settings: acme/model has other contents" in capsys.readouterr().err


def test_two_trainings_into_one_folder(capsys: pytest.CaptureFixture[str]) -> None:
    from fidtools.data.locks import exclusive

    start("train-reader")
    with exclusive(Path("out"), "training into it"):
        assert cli.run([*arguments("train-reader"), "-q"]) == 1
    assert "out: another process is training into it" in capsys.readouterr().err
