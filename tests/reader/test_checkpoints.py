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
REFUSED = "not a file of tensors only; refused for safety"


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
    assert said.startswith(f"fidtools: {source / 'pytorch_model.bin'}: {REFUSED}")


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


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize(
    ("config", "weights", "message"),
    [
        ("{", None, "config.json: malformed JSON"),
        ("[]", None, "config.json: expected a JSON object (got [])"),
        (None, None, "released: no weights: neither model.safetensors nor pytorch_model.bin"),
        (None, torch.zeros(2), "pytorch_model.bin: expected a dictionary of tensors (got Tensor)"),
    ],
)
def test_other_folders_are_refused(
    kind: str, config: str | None, weights: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "released"
    source.mkdir()
    (source / "config.json").write_text(config or json.dumps(CONFIGS[kind]))
    if weights is not None:
        torch.save(weights, source / "pytorch_model.bin")
    assert run(["convert", kind, str(source), "-o", str(tmp_path / "new")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_truncated_checkpoint_is_refused(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "released"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(CONFIGS[kind]))
    torch.save({"shared.weight": torch.zeros(200)}, source / "pytorch_model.bin")
    whole = (source / "pytorch_model.bin").read_bytes()
    (source / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    assert run(["convert", kind, str(source), "-o", str(tmp_path / "new")]) == 1
    assert "pytorch_model.bin: truncated or corrupt checkpoint" in capsys.readouterr().err
