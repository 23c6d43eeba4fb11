"""What a command refuses when a launcher has started several processes of it: streams that they would share."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from fidtools import cli, commands
from fidtools.commands._launched import SHARING
from tests.toy_models import READER, RETRIEVER

GROUP = {"RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
SHORT = ["--steps", "1", "-o", "out"]
READING = {
    "score-attn": ["score-attn", "PIPE", "--reader", READER, "-o", "out"],
    "read": ["read", "PIPE", "--reader", READER, "-o", "out"],
    "embed": ["embed", "PIPE", "--retriever", RETRIEVER, "-o", "out.npy"],
    "retrieve": ["retrieve", "q.jsonl", "-p", "PIPE", "--retriever", RETRIEVER, "--embeddings", "e.npy"],
    "generate-questions": ["generate-questions", "PIPE", "--model", READER],
    "train-reader": ["train-reader", "PIPE", "--reader", READER, *SHORT],
    "train-retriever": ["train-retriever", "q.jsonl", "--dev", "PIPE", "--retriever", RETRIEVER, *SHORT],
}
"""Calls that read a pipe where PIPE stands."""
WRITING = {
    "bm25": ["bm25", "q.jsonl", "-p", "p.jsonl", "-q"],
    "convert": ["convert", "q.jsonl", "-q"],
    "fuse": ["fuse", "q.jsonl", "q.jsonl", "-q"],
    "eval": ["eval", "q.jsonl", "--json", "-q"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    passage = {"id": "p", "title": "", "text": "a door", "score": 1.0}
    Path("p.jsonl").write_bytes(orjson.dumps(passage) + b"\n")
    question = {"id": "q", "question": "a door?", "answers": ["door"], "ctxs": [passage]}
    Path("q.jsonl").write_bytes(orjson.dumps(question) + b"\n")
    os.mkfifo("pipe")
    return tmp_path


def launched(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in (GROUP | variables).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("path", "shown"), [("-", "standard input"), ("pipe", "the pipe pipe")])
@pytest.mark.parametrize("command", READING)
def test_a_pipe_is_not_divided_among_processes(command, path, shown, folder, monkeypatch, capsys):
    """Each process read a part of it: of 60 questions of a named pipe 32 were scored."""
    launched(monkeypatch, WORLD_SIZE="2")
    assert cli.run([path if word == "PIPE" else word for word in READING[command]]) == 2
    problem = f"fidtools: 2 processes cannot read {shown}: each would get a part of it"
    assert capsys.readouterr().err == f"{problem}\n  give the input as a file\n"


@pytest.mark.parametrize("command", WRITING)
def test_a_result_is_not_written_twice_to_one_stream(command, folder, monkeypatch, capsys):
    """Each process wrote every line: two of a launched `bm25` and `fuse` left each question twice."""
    assert cli.run(WRITING[command]) == 0
    alone = capsys.readouterr().out
    launched(monkeypatch, LOCAL_WORLD_SIZE="2")
    assert cli.run(WRITING[command]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "each of 2 processes would write the whole result to standard output" in said.err
    assert cli.run([*WRITING[command], "-o", "out"]) == 0
    assert Path("out").read_text() == alone


def test_processes_on_other_machines_have_streams_of_their_own(folder, monkeypatch, capsys):
    launched(monkeypatch, WORLD_SIZE="2", LOCAL_WORLD_SIZE="1")
    assert cli.run(WRITING["convert"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_commands_that_share_their_work_are_those_that_ask_for_ranks():
    source = Path(commands.__path__[0])
    asking = {path.stem for path in source.glob("*.py") if "compute.ranks" in path.read_text()}
    through = {path.stem for path in source.glob("*.py") if "stream_" in path.read_text()}
    found = {stem.replace("_", "-") for stem in asking | through if not stem.startswith("_")}
    trainings_and_embed = {"train-reader", "train-teacher", "train-retriever", "embed"}
    assert found | trainings_and_embed == SHARING
