"""SIGKILL at file-system events of a command, then the same command again: the same bytes, and nothing left over."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from fidtools.cli import run
from tests.toy_models import READER, RETRIEVER

TOWNS = ["Borvik", "Aros", "Borvik", "Lund"]
SHORT = ["--steps", "2", "--batch", "2", "--eval-every", "1", "--precision", "float32", "--resume", "-q", "-o", "out"]

COMMANDS = {
    "bm25": ["bm25", "q.jsonl", "-p", "p.jsonl", "-k", "3", "-o", "out.jsonl", "-q"],
    "embed": ["embed", "p.jsonl", "--retriever", RETRIEVER, "-o", "out.npy", "--resume", "-q"],
    "embed again": ["embed", "p.jsonl", "--retriever", RETRIEVER, "-o", "e.npy", "--dtype", "float16", "-q"],
    "index": ["index", "e.npy", "--type", "flat", "-o", "out.index", "-q"],
    "retrieve": [
        *["retrieve", "q.jsonl", "--retriever", RETRIEVER, "--embeddings", "e.npy", "-p", "p.jsonl"],
        *["-k", "3", "-o", "out.jsonl.gz", "-q"],
    ],
    "convert": ["convert", "q.jsonl", "-o", "q.json", "-q"],
    "convert --to beir": ["convert", "q.jsonl", "--to", "beir", "-o", "out", "-q"],
    "convert embeddings": ["convert", "e.pkl", "-o", "out.npy", "-q"],
    "fuse": ["fuse", "q.jsonl", "q.jsonl", "-o", "out.jsonl", "-q"],
    "fetch": ["fetch", "toy", "-o", "toy", "-q"],
    "chunk": ["chunk", "p.jsonl", "--words", "2", "-o", "out.jsonl", "-q"],
    "train-reader": ["train-reader", "q.jsonl", "--dev", "q.jsonl", "--reader", READER, "--n-context", "2", *SHORT],
    "train-retriever": ["train-retriever", "q.jsonl", "--dev", "q.jsonl", "--retriever", RETRIEVER, *SHORT],
    "train-teacher": [
        *["train-teacher", "q.jsonl", "--dev", "q.jsonl", "--coattention", "--hidden", "4", "--word-dim", "4"],
        *SHORT,
    ],
}
SAMPLED = {"embed": 4, "index": 4, "convert": 4, "fetch": 4, "train-teacher": 6}
"""How many events of a command are tried in every run of the tests; -m slow tries all events of all commands."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with questions, passages and their embeddings."""
    folder = tmp_path_factory.mktemp("prepared")
    passages = [{"id": f"p{i}", "title": "t", "text": f"Ada came from {town} by boat"} for i, town in enumerate(TOWNS)]
    ctxs = [passage | {"score": -i, "scores": {"attention": float(i)}} for i, passage in enumerate(passages)]
    asked = {"question": "Where was Ada born?", "answers": ["Borvik"], "gold": ["p0"], "ctxs": ctxs}
    (folder / "e.pkl").write_bytes(pickle.dumps(([f"p{i}" for i in range(4)], np.eye(4, dtype=np.float32))))
    for name, records in {
        "p.jsonl": passages,
        "q.jsonl": [asked | {"id": f"q{i}"} for i in range(4)],
    }.items():
        (folder / name).write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    assert run(["embed", str(folder / "p.jsonl"), "--retriever", RETRIEVER, "-o", str(folder / "e.npy"), "-q"]) == 0
    return folder


def killed(prepared: Path, tmp_path: Path, command: str, *which: str) -> dict[str, object]:
    (tmp_path / "trials").mkdir()
    (tmp_path / "folder").symlink_to(prepared)
    script = [sys.executable, str(Path(__file__).with_name("killing.py")), str(tmp_path / "folder")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*script, *which, "--", *COMMANDS[command]], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    print(command, found["events"], "events,", found["trials"], "trials")
    return found


@pytest.mark.parametrize("command", SAMPLED)
def test_a_command_that_was_killed_ends_the_same(prepared: Path, tmp_path: Path, command: str) -> None:
    found = killed(prepared, tmp_path, command, str(SAMPLED[command]), "1")
    assert found["faults"] == {}
    assert found["trials"] == SAMPLED[command]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_every_event_a_command_ends_the_same(prepared: Path, tmp_path: Path, command: str) -> None:
    found = killed(prepared, tmp_path, command, "all")
    assert found["faults"] == {}
    assert found["trials"] == found["events"] != 0
