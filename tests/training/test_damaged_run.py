"""An unfinished run that lost a file, or has a damaged one: it is named, and how to go on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fidtools.errors import DataError, UsageError
from fidtools.training import run_record
from fidtools.training.loop import check_run, train
from tests.test_training import SETTINGS, LineObjective


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """The folder of a run that was stopped after update 5, whose start is its best model."""
    with pytest.raises(SystemExit):
        train(LineObjective(stop_at=5), SETTINGS, tmp_path / "model", resume=False, record={})
    return tmp_path / "model.partial"


@pytest.mark.parametrize("name", ["state-5/weights.safetensors", "state-5/optimizer.safetensors"])
def test_a_file_that_is_missing_is_named_with_what_to_do(name: str, unfinished: Path) -> None:
    (unfinished / name).unlink()
    with pytest.raises(DataError) as caught:
        train(LineObjective(), SETTINGS, unfinished.with_name("model"), resume=True, record={})
    assert str(caught.value) == f"{unfinished / name}: missing\n  remove {unfinished} to start from scratch"
    assert (unfinished / "state-5" / "progress.json").exists()


def test_a_best_model_that_is_missing_at_the_end_is_named(unfinished: Path) -> None:
    shutil.rmtree(unfinished / "best")
    objective = LineObjective()
    objective.evaluate = lambda: {"-error": -9.0}  # type: ignore[method-assign]  # so that none replaces it
    with pytest.raises(DataError, match="model.partial/best: missing"):
        train(objective, SETTINGS, unfinished.with_name("model"), resume=True, record={})


@pytest.mark.parametrize("line", [b"\0\0\0\n", b"{}\n", b"3\n"])
def test_a_damaged_log_is_named(line: bytes, unfinished: Path) -> None:
    with (unfinished / "log.jsonl").open("ab") as log:
        log.write(line)
    with pytest.raises(DataError, match="log.jsonl: damaged"):
        train(LineObjective(), SETTINGS, unfinished.with_name("model"), resume=True, record={})


def test_no_model_is_fetched_before_the_output_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    asked: list[str] = []
    monkeypatch.setattr(run_record, "resolve_model", asked.append)
    record = {"command": "train-retriever", "retriever": "acme/model"}
    with pytest.raises(UsageError, match="it holds notes.txt"):
        check_run(tmp_path / "model", SETTINGS, record, resume=False)
    assert asked == []
