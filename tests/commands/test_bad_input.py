"""Bad input, tried on every command: one clear message, the right exit code, and no incomplete output."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from fidtools import cli
from fidtools.commands import SUMMARIES
from fidtools.teachers.teacher_folder import load_teacher
from tests.toy_models import READER, RETRIEVER

GOOD = {
    "id": "q",
    "question": "Where was Ada born?",
    "answers": ["Borvik"],
    "ctxs": [
        {
            "id": f"p{i}",
            "title": "t",
            "text": f"Ada came from {town}.",
            "score": -i,
            "scores": {"attention": float(i)},
            "doc_id": f"p{i}",
        }
        for i, town in enumerate(["Borvik", "Borvik", "Aros"])
    ],
}
PASSAGE = {"id": "p1", "title": "t", "text": "Ada came from Borvik."}

Arguments = Callable[[str, Path], list[str]]
READS_QUESTIONS: dict[str, Arguments] = {
    "bm25": lambda file, at: ["bm25", file, "-p", str(at / "passages.jsonl"), "--index", str(at / "bm25")],
    "read": lambda file, at: ["read", file, "--reader", READER],
    "score-attn": lambda file, at: ["score-attn", file, "--reader", READER],
    "score-likelihood": lambda file, at: ["score-likelihood", file, "--reader", READER],
    "train-reader": lambda file, at: ["train-reader", file, "--reader", READER, "--steps", "1"],
    "train-retriever": lambda file, at: ["train-retriever", file, "--retriever", RETRIEVER, "--steps", "1"],
    "train-teacher": lambda file, at: ["train-teacher", file, "--teacher", RETRIEVER, "--steps", "1"],
    "score-cross": lambda file, at: ["score-cross", file, "--teacher", str(at / "teacher")],
    "teacher-report": lambda file, at: ["teacher-report", file],
    "embed --questions": lambda file, at: ["embed", "--questions", file, "--retriever", RETRIEVER],
    "retrieve": lambda file, at: ["retrieve", file, *SEARCHED(at)],
    "eval": lambda file, at: ["eval", file],
    "compare": lambda file, at: ["compare", file, file],
    "report": lambda file, at: ["report", file],
    "fuse": lambda file, at: ["fuse", file, file],
    "collapse": lambda file, at: ["collapse", file, "-p", str(at / "passages.jsonl")],
    "convert": lambda file, at: ["convert", file],
}
READS_CONTEXTS = [
    "read",
    "score-attn",
    "score-likelihood",
    "score-cross",
    "train-reader",
    "train-retriever",
    "train-teacher",
    "teacher-report",
    "eval",
    "compare",
    "fuse",
    "collapse",
]
READS_PASSAGES: dict[str, Arguments] = {
    "bm25 -p": lambda file, at: ["bm25", str(at / "good.jsonl"), "-p", file, "--index", str(at / "new-bm25")],
    "embed": lambda file, at: ["embed", file, "--retriever", RETRIEVER],
    "search -p": lambda file, at: ["search", "where?", "--bm25", "-p", file, "--bm25-index", str(at / "new-bm25")],
    "serve -p": lambda file, at: ["serve", "--bm25", "-p", file, "--bm25-index", str(at / "new-bm25"), "--port", "0"],
    "collapse -p": lambda file, at: ["collapse", str(at / "good.jsonl"), "-p", file],
    "retrieve -p": lambda file, at: ["retrieve", str(at / "good.jsonl"), *SEARCHED(at), "-p", file],
    "chunk": lambda file, at: ["chunk", file],
    "generate-questions": lambda file, at: ["generate-questions", file, "--model", READER],
}
EVERY = READS_QUESTIONS | READS_PASSAGES
WRITES_NO_FILE = ["search -p", "serve -p"]
READS_NO_LINES = {
    "fetch": "takes a dataset's name; its downloads are tested in tests/datasets",
    "index": "reads embeddings: test_an_index_of_bad_embeddings",
    "plan": "reads nothing",
    "doctor": "reads nothing",
    "validate": "reports bad lines and goes on: tests/validation",
}


def SEARCHED(at: Path) -> list[str]:  # noqa: N802
    return ["--retriever", RETRIEVER, "--embeddings", str(at / "p.npy"), "-p", str(at / "passages.jsonl")]


def lines(path: Path, *records: object) -> Path:
    path.write_bytes(b"".join(r if isinstance(r, bytes) else orjson.dumps(r) + b"\n" for r in records))
    return path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A folder with passages, their embeddings and good questions."""
    folder = tmp_path_factory.mktemp("prepared")
    lines(folder / "passages.jsonl", *[PASSAGE | {"id": f"p{i}"} for i in range(5)])
    lines(folder / "good.jsonl", GOOD, GOOD | {"id": "q2"})
    (folder / "teacher").mkdir()
    load_teacher(RETRIEVER, new_head=True).save(folder / "teacher")
    made = ["embed", str(folder / "passages.jsonl"), "--retriever", RETRIEVER, "-o", str(folder / "p.npy"), "-q"]
    assert cli.run(made) == 0
    assert cli.run([*READS_QUESTIONS["bm25"](str(folder / "good.jsonl"), folder), "-o", os.devnull, "-q"]) == 0
    return folder


def left_in(folder: Path) -> set[str]:
    """What is in a folder, but for indexes of the input, which are kept for the next time once they are whole."""
    return {path.name for path in folder.iterdir() if path.suffix != ".rows" and path.name != "new-bm25"}


@pytest.fixture
def complaint(prepared, tmp_path, capsys) -> Callable[..., str]:
    """Run a command on a bad file; returns what it said, having checked that it failed cleanly."""

    def run(command: str, file: str | Path, code: int = 1, output: Path | None = None) -> str:
        before = left_in(tmp_path), left_in(prepared)
        target = tmp_path / "out.npy" if output is None else output
        to = [] if command in WRITES_NO_FILE else ["-o", str(target)]
        assert cli.run([*EVERY[command](str(file), prepared), *to, "-q"]) == code
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(("fidtools: ", "Usage: "))
        assert len(said.err.strip().splitlines()) <= 4
        assert (left_in(tmp_path), left_in(prepared)) == before
        return said.err

    return run


def test_every_command_of_the_program_is_tried_here():
    tried = {command.split()[0] for command in EVERY} | READS_NO_LINES.keys()
    assert tried == set(SUMMARIES)


@pytest.mark.parametrize("command", EVERY)
def test_an_empty_file(command, complaint, tmp_path):
    assert "empty.jsonl" in complaint(command, lines(tmp_path / "empty.jsonl"))


@pytest.mark.parametrize("command", EVERY)
def test_a_missing_file(command, complaint, tmp_path):
    assert "missing.jsonl: no such file or directory" in complaint(command, tmp_path / "missing.jsonl")


@pytest.mark.parametrize("command", [c for c in EVERY if c not in ("chunk", "report")])  # these read folders
def test_a_folder_in_place_of_a_file(command, complaint, tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    assert "folder.jsonl: is a directory" in complaint(command, tmp_path / "folder.jsonl")


def test_a_folder_of_documents_in_place_of_passages(complaint, tmp_path):
    (tmp_path / "my docs").mkdir()
    (tmp_path / "my docs" / "a.md").write_text("text")
    said = complaint("convert", tmp_path / "my docs")
    assert f"documents? fidtools chunk '{tmp_path}/my docs' -o passages.jsonl makes passages of them" in said


@pytest.mark.parametrize("command", EVERY)
def test_malformed_json_on_line_7(command, complaint, tmp_path):
    good = GOOD if command in READS_QUESTIONS else PASSAGE
    records = [good | {"id": f"x{i}"} for i in range(6)]
    assert "bad.jsonl:7: malformed JSON" in complaint(command, lines(tmp_path / "bad.jsonl", *records, b'{"id": \n'))


@pytest.mark.parametrize("command", [c for c in READS_QUESTIONS if c not in ("convert", "eval")])
def test_a_line_without_question(command, complaint, tmp_path):
    bad = {key: value for key, value in GOOD.items() if key != "question"}
    said = complaint(command, lines(tmp_path / "bad.jsonl", GOOD, bad))
    assert "bad.jsonl:2: field 'question': missing" in said


@pytest.mark.parametrize("command", READS_CONTEXTS)
def test_passages_without_text(command, complaint, tmp_path):
    said = complaint(command, lines(tmp_path / "bad.jsonl", GOOD, GOOD | {"ctxs": [{"id": "p1", "title": "t"}]}))
    assert "bad.jsonl:2: field 'ctxs[0].text': missing" in said


@pytest.mark.parametrize("command", ["bm25 -p", "embed", "generate-questions", "retrieve -p", "search -p", "serve -p"])
def test_duplicate_passage_ids(command, complaint, tmp_path):
    said = complaint(command, lines(tmp_path / "twice.jsonl", PASSAGE, PASSAGE | {"id": "p2"}, PASSAGE))
    assert "p1" in said
    assert "twice.jsonl" in said


@pytest.mark.parametrize("command", ["retrieve -p"])
def test_passages_of_another_corpus(command, complaint, tmp_path):
    other = lines(tmp_path / "other.jsonl", *[PASSAGE | {"id": f"z{i}"} for i in range(5)])
    said = complaint(command, other)
    assert "other.jsonl" in said
    assert "p.npy" in said


@pytest.mark.parametrize("option", ["--reader", "--retriever"])
@pytest.mark.parametrize(("folder", "code"), [("missing", 2), ("empty", 2)])
def test_a_wrong_model_folder(option, folder, code, prepared, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    command = "read" if option == "--reader" else "retrieve"
    arguments = EVERY[command](str(prepared / "good.jsonl"), prepared)
    arguments[arguments.index(option) + 1] = str(tmp_path / folder)
    assert cli.run([*arguments, "-o", str(tmp_path / "out.jsonl")]) == code
    assert f"{tmp_path / folder}" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("command", [c for c in EVERY if c not in WRITES_NO_FILE])
def test_an_output_that_cannot_be_written(command, complaint, prepared, tmp_path):
    good = prepared / ("good.jsonl" if command in READS_QUESTIONS else "passages.jsonl")
    (tmp_path / "file").write_text("")
    said = complaint(command, good, output=tmp_path / "file" / "out.npy")
    assert "file" in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.npy", None, "missing.npy: no such file or directory"),
        ("empty.npy", b"", "empty.npy"),
        ("text.npy", b"not numbers", "text.npy"),
    ],
)
def test_an_index_of_bad_embeddings(name, content, said, tmp_path, capsys):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert cli.run(["index", str(tmp_path / name), "-o", str(tmp_path / "index"), "-q"]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "index").exists()
