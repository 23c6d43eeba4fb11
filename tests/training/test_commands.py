"""The training commands: one home for defaults, and one meaning of --resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from fidtools.cli import run
from fidtools.reader.presets import PRESETS
from fidtools.reader.run_config import ReaderRun
from fidtools.retriever import losses
from fidtools.retriever.run_config import LOSSES, RetrieverRun
from fidtools.teachers.run_config import TeacherRun
from tests.retriever.conftest import plain_model, questions
from tests.toy_models import READER

__all__ = ["plain_model", "questions"]

COMMANDS = {
    "train-reader": ["--reader", READER, "--n-context", "2"],
    "train-retriever": ["--student", "lstm", "--hidden", "4", "--word-dim", "4"],
    "train-teacher": ["--coattention", "--labels", "gold", "--hidden", "4", "--word-dim", "4"],
}
SHORT = ["--batch", "2", "--precision", "float32", "-q"]
Large = PRESETS["large"]


@pytest.mark.parametrize(
    ("options", "target", "expected"),
    [
        (["train-reader", "t", "--reader", "r"], "reader.train.train_reader", ReaderRun("t", "r")),
        (
            ["train-reader", "t", "--reader", "r", "--preset", "large"],
            "reader.train.train_reader",
            ReaderRun("t", "r", None, Large.settings, Large.inputs, Large.dropout),
        ),
        (["train-retriever", "t", "--retriever", "r"], "retriever.train.train_retriever", RetrieverRun("t", "r")),
        (
            ["train-retriever", "t", "--student", "cnn"],
            "retriever.train.train_retriever",
            RetrieverRun("t", student="cnn"),
        ),
        (["train-teacher", "t", "--teacher", "r"], "teachers.train.train_teacher", TeacherRun("t", "r")),
    ],
)
def test_defaults_are_those_of_the_dataclass(
    options: list[str], target: str, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    (tmp_path / "t").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"fidtools.{target}", lambda run, output, resume, force: seen.append((run, output, resume)))
    monkeypatch.setattr("fidtools.compute.loading.is_causal", lambda name: False)  # r is no model
    assert run([*options, "-o", "out"]) == 0
    assert seen == [(expected, Path("out"), False)]


@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        (["train-reader", "--reader", READER, "--dev", "t", "--patience", "2", "--title-prefix", "t"], []),
        (["train-reader", "--reader", READER, "--patience", "2"], ["--patience has no effect without --dev"]),
        (
            ["train-reader", "--reader", READER, "--no-title", "--title-prefix", "t"],
            ["--title-prefix has no effect with --no-title"],
        ),
        (
            ["train-retriever", "--retriever", "r", "--select", "overlap", "--patience", "2", "--hidden", "4"],
            ["--select, --patience have no effect without --dev", "--hidden has no effect without --student"],
        ),
        (["train-retriever", "--student", "lstm", "--hidden", "4"], []),
        (
            ["train-retriever", "--student", "static", "--hidden", "4"],
            ["--hidden has no effect with --student static"],
        ),
        (["train-teacher", "--coattention", "--hidden", "4", "--labels", "gold"], []),
        (
            ["train-teacher", "--teacher", "r", "--eval-every", "4", "--hidden", "4", "--words", "9"],
            [
                "--eval-every has no effect without --dev",
                "--hidden, --words have no effect without --coattention",
            ],
        ),
        (
            ["train-teacher", "--coattention", "--teacher-scores", "x", "--gamma", "0.5", "--labels", "gold"],
            ["--gamma has no effect with --loss kl", "--labels has no effect with --teacher-scores"],
        ),
        (
            ["train-teacher", "--coattention", "--word-vectors", "t", "--word-dim", "8"],
            ["--word-dim has no effect with --word-vectors"],
        ),
    ],
)
def test_options_without_effect_are_named(
    options: list[str],
    warnings: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "t").write_text("")
    monkeypatch.chdir(tmp_path)
    for function in ("reader.train.train_reader", "teachers.train.train_teacher", "retriever.train.train_retriever"):
        monkeypatch.setattr(f"fidtools.{function}", lambda *_, **__: None)
    assert run([options[0], "t", *options[1:], "-o", "out"]) == 0
    assert capsys.readouterr().err.splitlines() == warnings


def test_the_losses_to_choose_from_are_the_library_s() -> None:
    assert set(LOSSES) == set(losses.LOSSES)


def test_the_paper_s_settings() -> None:
    """Izacard & Grave, appendix A.2 and Table 7."""
    base, large = PRESETS["base"].settings, PRESETS["large"].settings
    assert (base.steps, base.batch, base.lr, base.optimizer, base.schedule) == (10_000, 64, 1e-4, "adam", "constant")
    assert (base.warmup, base.weight_decay, base.clip) == (0, 0.0, 1.0)
    assert (large.steps, large.batch, large.lr, large.optimizer) == (15_000, 64, 5e-5, "adamw")
    assert (large.schedule, large.warmup, large.clip) == ("linear", 600, 1.0)
    for preset in (PRESETS["base"], PRESETS["large"]):
        assert (preset.dropout, preset.inputs.n_context, preset.inputs.text_maxlength) == (0.1, 100, 250)


@pytest.fixture
def interrupted(questions: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Starts a run of two updates that is killed after the first; returns its output folder."""

    def start(command: str, *more: str) -> Path:
        from fidtools.training.loop import _Loop

        data, output = str(questions(count=4)), tmp_path / "out"
        plain = _Loop._update

        def update(self: Any, step: int) -> None:
            if step == 1:
                raise KeyboardInterrupt
            plain(self, step)

        with monkeypatch.context() as patch:
            patch.setattr(_Loop, "_update", update)
            arguments = [command, data, "-o", str(output), *COMMANDS[command], *SHORT, "--steps", "2"]
            assert run([*arguments, "--save-every", "1", "--eval-every", "1", "--dev", data, *more]) == 130
        assert not output.exists()
        return output

    return start


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unfinished_run_is_found_before_the_data_is_read(
    command: str, interrupted: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = interrupted(command)
    (tmp_path / "malformed.jsonl").write_text("{")
    arguments = [command, str(tmp_path / "malformed.jsonl"), "-o", str(output), *COMMANDS[command], *SHORT]
    assert run(arguments) == 2
    shown = capsys.readouterr().err
    assert f"{output}.partial: an unfinished run already exists" in shown
    assert "--resume continues it" in shown
    assert run([*arguments, "--resume", "--lr", "0.25"]) == 2
    shown = capsys.readouterr().err
    assert "the unfinished run used other settings: " in shown
    assert "dev was " in shown
    assert ", is now None; eval_every was 1, is now " in shown
    assert "is now 0.25; " in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_a_resumed_run_ends_in_the_same_folder(command: str, interrupted: Callable[..., Path], tmp_path: Path) -> None:
    output, whole = interrupted(command), tmp_path / "whole"
    data = str(tmp_path / "train.jsonl")
    arguments = [command, data, *COMMANDS[command], *SHORT, "--steps", "2", "--save-every", "1", "--eval-every", "1"]
    assert run([*arguments, "--dev", data, "-o", str(output), "--resume"]) == 0
    assert run([*arguments, "--dev", data, "-o", str(whole)]) == 0
    files = {path.relative_to(whole) for path in whole.rglob("*") if path.is_file()}
    assert files == {path.relative_to(output) for path in output.rglob("*") if path.is_file()}
    assert {Path("README.md"), Path("last/README.md"), Path("training.json")} <= files
    different = [str(path) for path in files if (whole / path).read_bytes() != (output / path).read_bytes()]
    assert different in ([], ["log.jsonl"])  # which has the speed


def test_a_finished_run_is_replaced_by_another_only_without_resume(
    questions: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = str(questions(count=4)), tmp_path / "out"
    arguments = ["train-teacher", data, "-o", str(output), *COMMANDS["train-teacher"], *SHORT]

    def steps() -> int:
        found: int = orjson.loads((output / "training.json").read_bytes())["result"]["steps"]
        return found

    assert run([*arguments, "--steps", "1", "--resume"]) == 0
    made = (output / "training.json").stat().st_ino
    assert run([*arguments, "--steps", "2", "--resume"]) == 2
    said = capsys.readouterr().err
    assert f"{output}: the finished run used other settings: steps was 1, is now 2" in said
    assert "leave out --resume to replace it" in said
    assert ((output / "training.json").stat().st_ino, steps()) == (made, 1)
    assert run([*arguments, "--steps", "2"]) == 0
    assert steps() == 2


@pytest.mark.parametrize("damage", ["removed", "cut off"])
def test_a_finished_model_that_has_changed_is_not_called_finished(
    damage: str, questions: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = str(questions(count=4)), tmp_path / "out"
    arguments = ["train-teacher", data, "-o", str(output), *COMMANDS["train-teacher"], *SHORT, "--steps", "1"]
    assert run([*arguments, "--resume"]) == 0
    (output / "README.md").write_text("my notes\n")  # no part of the model
    assert run([*arguments, "--resume"]) == 0
    weights = output / "model.safetensors"
    if damage == "removed":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-1])
    assert run([*arguments, "--resume"]) == 2
    said = capsys.readouterr().err
    assert f"the model in {output} is not as the finished run left it\n" in said
    assert "leave out --resume to replace it" in said
    assert run(arguments) == 0
    assert weights.is_file()


def test_an_output_inside_a_file_is_refused_before_the_data_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["train-teacher", str(tmp_path / "missing.jsonl"), "--coattention", "-o", str(tmp_path / "file" / "t")]
    assert run(arguments) == 1
    assert capsys.readouterr().err == f"fidtools: {tmp_path / 'file'}: not a directory\n"


@pytest.mark.parametrize("start", [["--coattention"], ["--teacher", "BERT"]])
def test_a_teacher_cannot_learn_from_an_empty_file(
    start: list[str], plain_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    options = [str(plain_model) if option == "BERT" else option for option in start]
    assert run(["train-teacher", str(tmp_path / "empty.jsonl"), "-o", str(tmp_path / "t"), *options, "-q"]) == 1
    assert "empty.jsonl: no questions: the file is empty" in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_tracker_is_refused_before_the_data_is_read(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "malformed.jsonl").write_text("{")
    arguments = [command, str(tmp_path / "malformed.jsonl"), "-o", str(tmp_path / "out"), *COMMANDS[command], *SHORT]
    assert run([*arguments, "--tracker", "papyrus"]) == 2
    assert "--tracker: unknown tracker papyrus" in capsys.readouterr().err
