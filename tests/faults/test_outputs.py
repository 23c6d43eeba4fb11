"""The user's files: no output destroys what is not ours, whatever name it goes by."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import orjson
import pytest

from fidtools import cli
from fidtools.commands import SUMMARIES, load_command
from fidtools.commands._path_types import Named
from fidtools.data.files import atomic_folder, open_output
from fidtools.data.outputs import FolderKind, final_path
from fidtools.errors import UsageError
from tests.toy_models import READER, RETRIEVER

PASSAGES = [{"id": f"p{i}", "title": "t", "text": f"Ada came from town {i}."} for i in range(4)]
QUESTION = {"id": "q", "question": "Where was Ada born?", "answers": ["town 1"], "gold": ["p1"]}
CTXS = [p | {"score": -i, "scores": {"attention": float(i)}} for i, p in enumerate(PASSAGES)]
SHORT = ["--steps", "1", "--batch", "1", "--precision", "float32", "-q"]
KIND = FolderKind("a pair", ("a",), ("a", "b/*"))


def lines(path: Path, *records: object) -> Path:
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return path


def users_folder(folder: Path) -> Path:
    """What a user may have: questions, passages, embeddings, notes."""
    folder.mkdir()
    lines(folder / "q.jsonl", QUESTION | {"ctxs": CTXS}, QUESTION | {"id": "q2", "ctxs": CTXS})
    lines(folder / "p.jsonl", *PASSAGES)
    (folder / "e.pkl").write_bytes(pickle.dumps(([p["id"] for p in PASSAGES], np.eye(4, dtype=np.float32))))
    (folder / "notes.txt").write_text("mine")
    assert cli.run(["convert", str(folder / "e.pkl"), "-o", str(folder / "e.npy"), "-q"]) == 0
    return folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, in which commands run."""
    folder = users_folder(tmp_path / "data")
    monkeypatch.chdir(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for the indexes of a corpus that are kept beside it."""
    paths = (path for path in folder.rglob("*") if path.is_file() and ".rows" not in str(path))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def commands() -> Iterator[tuple[str, click.Command]]:
    for name in SUMMARIES:
        command = load_command(name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())
        else:
            yield name, command


@pytest.mark.parametrize(("name", "command"), [*commands()])
def test_every_output_of_every_command_is_known_as_one(name: str, command: click.Command) -> None:
    outputs = [p for p in command.params if isinstance(p.type, Named) and p.type.writes is not None]
    assert [p.name for p in command.params if p.name == "output" and p not in outputs] == []
    wrong = [p.name for p in command.params if (getattr(p, "help", "") or "").startswith("Write") and p not in outputs]
    assert [name for name in wrong if name not in ("as_json", "force", "questions")] == []
    assert hasattr(command.callback, "__wrapped__")


FOLDERS: dict[str, list[str]] = {
    "index": ["index", "e.npy", "-q"],
    "beir": ["convert", "q.jsonl", "--to", "beir", "-q"],
    "pylate": ["convert", "q.jsonl", "--to", "pylate", "-q"],
    "train-reader": ["train-reader", "q.jsonl", "--reader", READER, "--n-context", "1", *SHORT],
    "train-retriever": ["train-retriever", "q.jsonl", "--retriever", RETRIEVER, *SHORT],
    "train-teacher": ["train-teacher", "q.jsonl", "--coattention", *SHORT],
    "onnx": ["convert", "onnx", RETRIEVER, "-q"],
    "fetch": ["fetch", "toy", "-q"],
}


@pytest.mark.parametrize("command", [c for c in FOLDERS if c != "fetch"])
@pytest.mark.parametrize("folder", ["other", ".", "../data", "link"])
def test_a_folder_with_other_files_is_refused_by_name(
    command: str, folder: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "other").mkdir()
    (data / "other" / "notes.txt").write_text("mine")
    (data / "link").symlink_to("other")
    before = contents(data)
    code = cli.run([*FOLDERS[command], "-o", folder])
    said = capsys.readouterr().err
    if command == "onnx" and "needs an optional package" in said:
        pytest.skip("without onnx")
    assert code == 2
    assert any(reason in said for reason in ("notes.txt", "current folder", "the input", "no name of its own"))
    assert contents(data) == before
    assert (data / "link").is_symlink()


def test_an_earlier_output_is_replaced_and_notes_in_it_are_not(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert cli.run(["index", "e.npy", "--type", "flat", "-q", "-o", "x"]) == 0
    (data / "x" / "notes.txt").write_text("mine")
    assert cli.run(["index", "e.npy", "--type", "flat", "-q", "-o", "x"]) == 2
    assert "x already exists and is not only a FAISS index: it holds notes.txt" in capsys.readouterr().err
    assert cli.run(["index", "e.npy", "--type", "flat", "-q", "-o", "x", "--force"]) == 0
    assert sorted(path.name for path in (data / "x").iterdir()) == ["meta.json", "passages.ids", "vectors.faiss"]


@pytest.mark.parametrize("kind", ["beir", "pylate"])
def test_a_folder_by_the_same_names_is_replaced_only_if_convert_has_written_it(
    kind: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert cli.run([*FOLDERS[kind], "-o", "x"]) == 0
    shutil.copytree("x", "mine")
    (data / "mine" / ".fidtools").unlink()
    before = contents(data)
    assert cli.run([*FOLDERS[kind], "-o", "mine"]) == 2
    assert "mine already exists and is not only a " in capsys.readouterr().err
    assert contents(data) == before


def test_fetch_leaves_the_user_s_questions(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines(data / "train.jsonl", QUESTION)
    before = contents(data)
    assert cli.run(["fetch", "toy", "-o", "../data", "-q"]) == 2
    assert "train.jsonl, which `fetch` has not written" in capsys.readouterr().err
    assert contents(data) == before


@pytest.mark.parametrize("other", ["q.jsonl", "./q.jsonl", "../data/q.jsonl", "link", "hard", "{data}/q.jsonl"])
@pytest.mark.parametrize(
    "command",
    [
        ["convert", "q.jsonl"],
        ["fuse", "q.jsonl", "q.jsonl"],
        ["eval", "q.jsonl", "--per-question"],
        ["chunk", "q.jsonl"],
        ["bm25", "q.jsonl", "-p", "p.jsonl"],
        ["score-attn", "q.jsonl", "--reader", READER],
    ],
)
def test_an_output_that_is_an_input_is_refused(command: list[str], other: str, data: Path) -> None:
    (data / "link").symlink_to("q.jsonl")
    os.link("q.jsonl", "hard")
    before = contents(data)
    option = [] if command[-1].startswith("--") else ["-o"]
    assert cli.run([*command, *option, other.format(data=data), "-q"]) == 2
    assert contents(data) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "x.json", "--retriever", RETRIEVER, "-o", "x.npy"],
        ["embed", "p.jsonl", "--retriever", RETRIEVER, "-o", "x.npy"],
        ["convert", "e.pkl", "-o", "x.npy"],
        ["convert", "e.pkl", "-o", "y.npy"],
        ["convert", "../data", "-o", "q.jsonl", "--from", "beir"],
        ["retrieve", "q.jsonl", "--retriever", RETRIEVER, "-p", "p.jsonl", "--embeddings", "e.npy", "-o", "e.json"],
        ["eval", "q.jsonl", "-o", "same", "--per-question", "same"],
        ["train-retriever", "q.jsonl", "--retriever", "ret", *SHORT, "-o", "ret"],
    ],
)
def test_the_files_beside_an_output_or_input_count_too(arguments: list[str], data: Path) -> None:
    (data / "x.json").write_bytes(orjson.dumps(PASSAGES))
    (data / "y.ids").write_text("mine\n")
    (data / "ret").mkdir()
    before = contents(data)
    assert cli.run([*arguments, "-q"]) == 2
    assert contents(data) == before


def test_standard_input_is_an_input_too(data: Path) -> None:
    before = contents(data)
    with open("q.jsonl") as stream:
        command = [sys.executable, "-m", "fidtools", "convert", "-", "-o", "q.jsonl", "-q"]
        done = subprocess.run(command, stdin=stream, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "q.jsonl is both output and input: <stdin>" in done.stderr
    assert contents(data) == before


def test_appending_to_the_input_is_refused(data: Path) -> None:
    command = [sys.executable, "-m", "fidtools", "convert", "q.jsonl", "-q"]
    with open("q.jsonl", "ab") as stream:
        done = subprocess.run(command, stdout=stream, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert len((data / "q.jsonl").read_bytes().splitlines()) == 2


def test_a_link_is_written_through_on_its_own_disk_and_modes_are_kept(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").write_text("old")
    (tmp_path / "disk" / "file").chmod(0o600)
    for name, target in {"one": "two", "two": "disk/file", "new": "disk/new"}.items():
        (tmp_path / name).symlink_to(target)
    for name in ("one", "new"):
        with open_output(tmp_path / name) as out:
            out.line(1)
            assert [path.parent.name for path in tmp_path.rglob(".*.partial")] == ["disk"]
    assert (tmp_path / "disk" / "file").read_text() == (tmp_path / "disk" / "new").read_text() == "1\n"
    assert (tmp_path / "disk" / "file").stat().st_mode & 0o777 == 0o600
    assert all((tmp_path / name).is_symlink() for name in ("one", "two", "new"))


def test_a_linked_folder_is_replaced_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "disk" / "real").mkdir(parents=True)
    (tmp_path / "disk" / "real").chmod(0o750)
    (tmp_path / "link").symlink_to("disk/real")
    for _ in range(3):
        with atomic_folder(tmp_path / "link", KIND) as folder:
            (folder / "a").write_text("")
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "disk") == ["real"]
    assert (tmp_path / "disk" / "real").stat().st_mode & 0o777 == 0o750


def test_the_best_model_of_an_unfinished_training_is_not_removed_as_its_start(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A training killed before its first saved state leaves its best model; it was lost as the start of the next."""
    shutil.copytree(RETRIEVER, data / "out.partial" / "best")
    (data / "out.partial" / "record.json").write_text("{}")
    before = contents(data)
    best = "out.partial/best"
    assert cli.run(["train-retriever", "q.jsonl", "--retriever", best, "-o", "out", *SHORT]) == 2
    said = capsys.readouterr().err
    assert f"out.partial would be removed, and holds the input {best}\n  move it away, or name another output" in said
    assert contents(data) == before


@pytest.mark.parametrize("name", ["n" * 226, "é" * 113])
def test_a_name_without_room_for_those_beside_it_is_refused(
    name: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(data)
    for command in (["convert", "q.jsonl"], ["train-retriever", "q.jsonl", "--retriever", RETRIEVER, *SHORT]):
        assert cli.run([*command, "-o", name]) == 2
        assert ": the name of this output has 226 bytes, more than 225\n" in capsys.readouterr().err
    assert contents(data) == before


def test_the_longest_name_works_where_most_files_are_beside_it(data: Path) -> None:
    command = ["read", "q.jsonl", "--reader", READER, "-o", "n" * 225, "-q", "--resume"]
    assert cli.run(command) == 0
    assert cli.run(command) == 0
    assert (data / ("n" * 225)).is_file()


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        final_path(tmp_path / "a")


def test_files_that_come_while_a_folder_is_made_stay(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds mine"), atomic_folder(tmp_path / "x", KIND) as folder:
        (folder / "a").write_text("")
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "mine").write_text("")
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize(("mode", "begin"), [("wb", b""), ("ab", b"keep\n")])
def test_standard_output_by_any_name_goes_where_it_goes(name: str, mode: str, begin: bytes, data: Path) -> None:
    if name == "link":
        (data / "link").symlink_to("/proc/self/fd/1")
    elif name == "/dev/stdout" and os.access("/dev", os.W_OK):
        pytest.skip("a fault would destroy the link of this machine")
    (data / "out").write_bytes(b"keep\n")
    command = [sys.executable, "-m", "fidtools", "convert", "q.jsonl", "-q", "-o", name]
    with open("out", mode) as stream:
        assert subprocess.run(command, stdout=stream, check=False).returncode == 0
    assert cli.run(["convert", "q.jsonl", "-q", "-o", "right"]) == 0
    assert (data / "out").read_bytes() == begin + (data / "right").read_bytes()
    assert name != "link" or os.readlink(data / "link") == "/proc/self/fd/1"


def test_a_report_on_standard_output_follows_what_is_there(data: Path) -> None:
    (data / "link").symlink_to("/proc/self/fd/1")
    command = [sys.executable, "-m", "fidtools", "report", "q.jsonl", "-q", "-o", "link"]
    (data / "out").write_bytes(b"keep\n")
    with open("out", "ab") as stream:
        assert subprocess.run(command, stdout=stream, check=False).returncode == 0
    assert (data / "out").read_bytes().lower().startswith(b"keep\n<!doctype html")


TRAIN_SHORT = [*SHORT, "-o", "out"]
LIMITED: dict[str, list[str]] = {
    "convert data": ["convert", "q.jsonl", "-o", "out"],
    "convert data .gz": ["convert", "q.jsonl", "-o", "out.gz"],
    "convert data --to beir": ["convert", "q.jsonl", "--to", "beir", "-o", "out"],
    "convert data .npy": ["convert", "e.pkl", "-o", "out.npy"],
    "convert reader": ["convert", "reader", READER, "-o", "out"],
    "chunk": ["chunk", "p.jsonl", "-o", "out"],
    "fetch": ["fetch", "toy", "-o", "out"],
    "bm25": ["bm25", "q.jsonl", "-p", "p.jsonl", "-o", "out"],
    "embed": ["embed", "p.jsonl", "--retriever", RETRIEVER, "-o", "out.npy"],
    "index": ["index", "e.npy", "--type", "flat", "-o", "out"],
    "retrieve": [
        *["retrieve", "q.jsonl", "--retriever", RETRIEVER, "--embeddings", "v.npy", "-p", "p.jsonl", "-k", "2"],
        *["-o", "out"],
    ],
    "fuse": ["fuse", "q.jsonl", "q.jsonl", "-o", "out"],
    "read": ["read", "q.jsonl", "--reader", READER, "-o", "out"],
    "score-attn": ["score-attn", "q.jsonl", "--reader", READER, "-o", "out"],
    "score-likelihood": ["score-likelihood", "q.jsonl", "--reader", READER, "-o", "out"],
    "score-cross": ["score-cross", "q.jsonl", "--teacher", "teacher", "-o", "out"],
    "teacher-report": ["teacher-report", "q.jsonl", "-o", "out"],
    "train-reader": ["train-reader", "q.jsonl", "--reader", READER, *TRAIN_SHORT],
    "train-retriever": ["train-retriever", "q.jsonl", "--retriever", RETRIEVER, *TRAIN_SHORT],
    "train-teacher": ["train-teacher", "q.jsonl", "--coattention", *TRAIN_SHORT],
    "eval": ["eval", "q.jsonl", "-o", "out", "--json"],
    "compare": ["compare", "q.jsonl", "q.jsonl", "--resamples", "100", "-o", "out", "--json"],
    "report": ["report", "q.jsonl", "-o", "out"],
}
NOT_LIMITED = {
    **dict.fromkeys(["search", "serve", "plan", "doctor", "validate"], "has no output, or one small file"),
    "generate-questions": "writes line by line as `score-likelihood` does",
    "collapse": "writes its lines as `fuse` does",
    "convert onnx": "needs a package that not everybody has",
    "convert dpr": "writes its folder as `convert reader` does, from two models",
    "convert retriever": "writes its folder as `convert reader` does, from checkpoints that are not published small",
}
"""Commands that are not run without room, with the reason."""


def run_without_room(arguments: list[str], size: int = 64) -> tuple[int, str]:
    """The exit code of a command in a process that can write files of `size` bytes at most, and what it says."""
    receive, send = os.pipe()
    if pid := os.fork():
        os.close(send)
        with os.fdopen(receive, encoding="utf-8", errors="replace") as stream:
            said = stream.read()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said
    code = 99
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        os.dup2(send, 2)
        sys.stderr = os.fdopen(send, "w")
        code = cli.run([*arguments, "-q"])
        sys.stderr.flush()
    except BaseException as error:
        os.write(2, repr(error).encode())
    finally:
        os._exit(code)


def test_every_command_that_writes_is_tried_without_room() -> None:
    assert {name for name, _ in commands()} - NOT_LIMITED.keys() == {
        name.partition(" -")[0].partition(" .")[0] for name in LIMITED
    }


@pytest.mark.parametrize("command", LIMITED)
def test_no_room_for_a_file_is_one_message_and_leaves_nothing(command: str, data: Path) -> None:
    if command == "retrieve":
        assert cli.run(["embed", "p.jsonl", "--retriever", RETRIEVER, "-o", "v.npy", "-q"]) == 0
    if command == "score-cross":
        teacher = ["train-teacher", "q.jsonl", "--coattention", "--hidden", "4", "--word-dim", "4", *SHORT]
        assert cli.run([*teacher, "-o", "teacher"]) == 0
    before = set(contents(data))
    code, said = run_without_room(LIMITED[command])
    assert code == 1, said
    assert "file too large" in said
    warnings, _, message = said.partition("fidtools: ")
    assert len(message.strip().splitlines()) <= 2
    assert bool(warnings) == (command == "teacher-report")  # the scores here teach nothing
    left = {name for name in set(contents(data)) - before if not name.startswith("out.partial/")}
    assert left == set()


@pytest.mark.parametrize(
    ("command", "size", "place"),
    [
        ("convert data", 64, "out: file too large"),
        ("convert data --to beir", 64, "out: file too large"),
        ("eval", 64, "out: file too large"),
        ("bm25", 150, "p.jsonl.rows: file too large"),  # in the middle of an array
        ("convert reader", 64, "out: file too large"),
        ("convert data .npy", 64, "out.npy: file too large"),
        ("embed", 1500, "out.npy: file too large"),
        ("fetch", 64, "out: file too large"),
    ],
)
def test_where_there_is_no_room_is_named(command: str, size: int, place: str, data: Path) -> None:
    code, said = run_without_room(LIMITED[command], size)
    assert (code, said.splitlines()[0]) == (1, f"fidtools: {place}")
    assert said.splitlines()[1] == "  no incomplete output was left; free some space and run it again"


def test_a_training_without_room_says_how_to_go_on(data: Path) -> None:
    command = ["train-retriever", "q.jsonl", "--retriever", RETRIEVER, *TRAIN_SHORT]
    code, said = run_without_room(command, 20_000)
    assert code == 1
    assert said.startswith("fidtools: out.partial: file too large\n")
    assert "the last saved state is kept: free some space and continue with --resume" in said
    assert cli.run([*command, "--resume"]) == 0
