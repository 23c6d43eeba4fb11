"""Damaged copies of every kind of model folder: one message and exit code 1 or 2, or a model that still works."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import orjson
import pytest

from fidtools import cli
from tests.faults.damaged_models import KINDS, QUESTION, damage

TRIALS = int(os.environ.get("FIDTOOLS_FUZZ", "25"))
"""Of each kind."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    for kind, (write, _) in KINDS.items():
        write(folder / kind)
    (folder / "questions.jsonl").write_bytes(orjson.dumps(QUESTION) + b"\n")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_folder_is_loaded(kind: str, whole: Path, tmp_path: Path, capfd) -> None:
    arguments = KINDS[kind][1](whole / kind, whole / "questions.jsonl")
    assert cli.run([*arguments, "--precision", "float32", "-o", str(tmp_path / "out.npy"), "-q"]) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_folders(kind: str, whole: Path, tmp_path: Path, capfd) -> None:
    for trial in range(TRIALS):
        choice = random.Random(f"{kind} {trial}")
        model = tmp_path / "model"
        shutil.copytree(whole / kind, model)
        done = damage(model, choice)
        arguments = KINDS[kind][1](model, whole / "questions.jsonl")
        code = cli.run([*arguments, "--precision", "float32", "-o", str(tmp_path / "out.npy"), "-q"])
        said = capfd.readouterr()
        assert said.out == "", done
        assert code in (0, 1, 2), f"{trial}: {done}: exit {code}: {said.err}"
        messages = [line for line in said.err.splitlines() if not line.startswith("  ")]
        assert "Traceback" not in said.err, f"{trial}: {done}"
        if code:
            assert len(messages) <= 1 + sum("do_lower_case" in m or "not used" in m for m in messages), said.err
            assert messages[-1].startswith("fidtools: "), f"{trial}: {done}: {said.err}"
        shutil.rmtree(model)
