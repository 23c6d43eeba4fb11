"""Released checkpoints that are not what they should be: refused in one message, and nothing of them is run."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from fidtools.cli import run

CONFIGS: dict[str, dict[str, Any]] = {"reader": {"model_type": "t5"}, "retriever": {"indexing_dimension": 8}}
REFUSED = {"reader": "not a file of tensors only", "retriever": "holds more than tensors, and is not opened"}


class Malicious:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def refuses(kind: str, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`convert` says that a checkpoint holds more than tensors, and writes nothing."""
    (source / "config.json").write_text(json.dumps(CONFIGS[kind]))
    assert run(["convert", kind, str(source), "-o", str(source.parent / "new")]) == 1
    assert not (source.parent / "new").exists()
    said = capsys.readouterr().err
    assert said.startswith(f"fidtools: {source / 'pytorch_model.bin'}: {REFUSED[kind]}")


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_something_is_refused(
    kind: str, zipped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In torch's formats of today and of before 1.6: the latter is what released checkpoints are."""
    source, made = tmp_path / "released", tmp_path / "made"
    source.mkdir()
    tensors = {"shared.weight": torch.zeros(2, 2), "extra": Malicious(made)}
    torch.save(tensors, source / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    refuses(kind, source, capsys)
    assert not made.exists()
    torch.load(source / "pytorch_model.bin", weights_only=False)
    assert made.exists()  # it would have worked


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_bare_pickle_is_refused(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, made = tmp_path / "released", tmp_path / "made"
    source.mkdir()
    (source / "pytorch_model.bin").write_bytes(pickle.dumps(Malicious(made), protocol=2))
    refuses(kind, source, capsys)
    assert not made.exists()
