"""The training loop on a model small enough to follow: what an update sees, and that a stopped run ends the same."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import orjson
import pytest
import torch
from accelerate import tracking
from safetensors.torch import load_file, save_file

from fidtools.errors import FidtoolsError, UsageError
from fidtools.training.loop import train
from fidtools.training.order import ExampleRef, examples_of_step, shuffled
from fidtools.training.progress import Progress
from fidtools.training.settings import TrainingSettings, learning_rate
from tests import two_ranks

TARGETS = torch.linspace(-1, 1, 10)


class Line(torch.nn.Module):
    """y = w x with dropout; x = y = TARGETS."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([3.0]))
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ((self.dropout(x * self.weight) - x) ** 2).sum()


class LineObjective:
    n_examples = len(TARGETS)
    metric = "-error"

    def __init__(
        self, stop_at: int | None = None, kill_at: int | None = None, stop_by: signal.Signals = signal.SIGTERM
    ) -> None:
        self.module = Line()
        self.seen: list[list[int]] = []
        self.stop_at, self.kill_at, self.stop_by = stop_at, kill_at, stop_by

    def order(self, seed, epoch):
        return shuffled(self.n_examples, seed, epoch)

    def loss_denominator(self, refs):
        return len(refs)

    def micro_batches(self, draws):
        self.seen.append([draw.index for draw in draws])
        if len(self.seen) == self.stop_at:
            signal.raise_signal(self.stop_by)
        if len(self.seen) == self.kill_at:
            raise MemoryError
        yield from TARGETS[[draw.index for draw in draws]].split(2)

    def evaluate(self):
        return {"-error": -abs(float(self.module.weight) - 1)}

    def save(self, folder: Path) -> None:
        save_file({"weight": self.module.weight.detach()}, folder / "model.safetensors")


SETTINGS = TrainingSettings(steps=12, batch=4, lr=0.1, eval_every=4, save_every=3, precision="float32", log_every=1)


def weight(folder: Path) -> float:
    return load_file(folder / "model.safetensors")["weight"].item()


def log_without_speed(folder: Path) -> list[dict]:
    lines = [orjson.loads(line) for line in (folder / "log.jsonl").read_bytes().splitlines()]
    return [{k: v for k, v in line.items() if k != "examples_per_second"} for line in lines]


def test_an_update_sees_consecutive_places_of_seeded_permutations():
    order = partial(shuffled, 10, 1)
    draws = [draw for step in range(5) for draw in examples_of_step(10, 4, step, order)]
    assert [draw.epoch for draw in draws] == [0] * 10 + [1] * 10
    assert sorted(d.index for d in draws[:10]) == sorted(d.index for d in draws[10:]) == list(range(10))
    assert [d.index for d in draws[:10]] != [d.index for d in draws[10:]]


def test_a_batch_may_be_larger_than_the_data():
    assert examples_of_step(1, 3, 0, partial(shuffled, 1, 0)) == [ExampleRef(0, 0), ExampleRef(0, 1), ExampleRef(0, 2)]


def test_linear_schedule_counts_updates():
    settings = TrainingSettings(steps=6, lr=1.0, schedule="linear", warmup=2)
    assert [learning_rate(settings, step) for step in range(6)] == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]


class Scaled(LineObjective):
    """Its loss and its gradient are multiplied; what its dev set says is given."""

    def __init__(self, factor: float = 1.0, gradient: float = 1.0, dev: float = 0.0) -> None:
        super().__init__()
        self.module.weight.register_hook(lambda value: value * gradient)
        self.module.register_forward_hook(lambda module, inputs, loss: loss * factor)
        self.dev = dev

    def evaluate(self):
        return {"-error": self.dev}


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ({"factor": 1e39}, "the loss is infinite at update 1"),
        ({"factor": float("nan")}, "the loss is NaN at update 1"),
        ({"gradient": float("inf")}, "the gradient is infinite at update 1"),
        ({"dev": float("-inf")}, "the dev metric is infinite at the start"),
        ({"dev": float("nan")}, "the dev metric is NaN at the start"),
    ],
)
def test_a_number_that_is_not_finite_ends_training(tmp_path, numbers, problem):
    settings = replace(SETTINGS, steps=1)
    with pytest.raises(FidtoolsError, match=problem):
        train(Scaled(**numbers), settings, tmp_path / "out", resume=False, record={})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stopped", [{"stop_at": 5}, {"kill_at": 8}, {"kill_at": 2}])
def test_a_stopped_run_continues_to_the_same_weights_and_log(tmp_path, stopped):
    train(LineObjective(), SETTINGS, tmp_path / "whole", resume=False, record={"data": "x"})
    with pytest.raises((SystemExit, MemoryError)):
        train(LineObjective(**stopped), SETTINGS, tmp_path / "parts", resume=False, record={"data": "x"})
    assert not (tmp_path / "parts").exists()
    train(LineObjective(), SETTINGS, tmp_path / "parts", resume=True, record={"data": "x"})
    assert weight(tmp_path / "parts") == weight(tmp_path / "whole")
    assert weight(tmp_path / "parts/last") == weight(tmp_path / "whole/last")
    assert log_without_speed(tmp_path / "parts") == log_without_speed(tmp_path / "whole")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_loses_no_update(number, code, tmp_path):
    first = LineObjective(stop_at=5, stop_by=number)
    with pytest.raises(SystemExit, match=str(code)):
        train(first, SETTINGS, tmp_path / "run", resume=False, record={})
    second = LineObjective()
    train(second, SETTINGS, tmp_path / "run", resume=True, record={})
    assert len(first.seen) + len(second.seen) == SETTINGS.steps


def test_another_run_is_not_continued(tmp_path):
    with pytest.raises(SystemExit):
        train(LineObjective(stop_at=5), SETTINGS, tmp_path / "run", resume=False, record={"data": "x"})
    with pytest.raises(UsageError, match="data was x, is now y"):
        train(LineObjective(), SETTINGS, tmp_path / "run", resume=True, record={"data": "y"})
    with pytest.raises(UsageError, match="`resume` continues it"):
        train(LineObjective(), SETTINGS, tmp_path / "run", resume=False, record={"data": "x"})


def test_the_best_model_is_kept_and_the_last(tmp_path):
    objective = LineObjective()
    metrics = train(objective, SETTINGS, tmp_path / "run", resume=False, record={})
    errors = [line["-error"] for line in log_without_speed(tmp_path / "run") if "-error" in line]
    assert metrics["-error"] == max(errors)
    assert abs(weight(tmp_path / "run") - 1) == pytest.approx(-max(errors))
    assert weight(tmp_path / "run/last") == objective.module.weight.item()


def test_early_stop_waits_for_patience_evaluations(tmp_path):
    class Worse(LineObjective):
        def evaluate(self):
            return {"-error": -float(len(self.seen))}

    objective = Worse()
    settings = TrainingSettings(steps=100, batch=4, eval_every=5, patience=2, precision="float32")
    train(objective, settings, tmp_path / "run", resume=False, record={})
    assert len(objective.seen) == 15


class Harmed(LineObjective):
    """Each evaluation is worse than the one before it, but for the third after the start, which is the second best."""

    values = (-1.0, -4.0, -3.0, -2.0)

    def evaluate(self):
        return {"-error": self.values[len(self.seen) // SETTINGS.eval_every]}


@pytest.mark.parametrize("stopped", [{}, {"stop_at": 6}, {"kill_at": 2}])
def test_a_start_that_nothing_beats_is_kept(tmp_path, caplog, stopped):
    caplog.set_level("INFO", logger="fidtools")
    objective = Harmed(**stopped)
    if stopped:
        with pytest.raises((SystemExit, MemoryError)):
            train(objective, SETTINGS, tmp_path / "run", resume=False, record={})
        seen = objective.seen if "stop_at" in stopped else []
        objective = Harmed()
        objective.seen = list(seen)
    metrics = train(objective, SETTINGS, tmp_path / "run", resume=bool(stopped), record={})
    assert metrics == {"-error": -1.0}
    assert weight(tmp_path / "run") == 3.0
    assert weight(tmp_path / "run/last") == objective.module.weight.item() != 3.0
    assert orjson.loads((tmp_path / "run/training.json").read_bytes())["result"]["best_step"] == 0
    evaluations = [line for line in log_without_speed(tmp_path / "run") if "-error" in line]
    assert evaluations == [{"step": 4 * i, "-error": value} for i, value in enumerate(Harmed.values)]
    assert "no evaluation was better than the start" in caplog.text


def test_a_start_that_is_beaten_goes_unmentioned(tmp_path, caplog):
    train(LineObjective(), SETTINGS, tmp_path / "run", resume=False, record={})
    assert weight(tmp_path / "run") != 3.0
    assert "better than the start" not in caplog.text


@pytest.mark.parametrize(("warmup", "said"), [(12, False), (13, True)])
def test_a_warm_up_that_never_ends_is_said(tmp_path, caplog, warmup, said):
    train(LineObjective(), replace(SETTINGS, warmup=warmup), tmp_path / "run", resume=False, record={})
    message = "--warmup 13 is longer than --steps 12: the learning rate ends at 0.0923077, below --lr 0.1"
    assert (message in caplog.text) == said


def test_without_a_dev_set_the_last_model_is_the_best(tmp_path, caplog):
    class Unjudged(LineObjective):
        def evaluate(self):
            return {}

    objective = Unjudged()
    assert train(objective, SETTINGS, tmp_path / "run", resume=False, record={}) == {}
    assert weight(tmp_path / "run") == weight(tmp_path / "run/last") == objective.module.weight.item()
    assert "better than the start" not in caplog.text


def test_a_state_saved_before_the_start_was_evaluated_is_continued():
    progress = Progress.from_json({"step": 8, "best": -2.0, "best_step": 4, "stale": 1, "metrics": {"x": 1.0}})
    assert progress == Progress(8, best=-2.0, best_step=4, peak=-2.0, evals_without_improvement=1, metrics={"x": 1.0})


class Collected:
    """A tracker as Accelerate's are."""

    requires_logging_directory = True
    seen: ClassVar[list[tuple]] = []

    def __init__(self, run_name, logging_dir):
        (Path(logging_dir) / "events").write_text(run_name)

    def store_init_configuration(self, values):
        self.seen.append(("settings", values["settings.lr"], values["data"]))

    def log(self, values, step):
        self.seen.append((step, *sorted(values)))

    def finish(self):
        self.seen.append(("finished",))


def test_trackers_get_every_line_of_the_log_and_their_files_are_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", Collected)
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: ["tensorboard"])
    settings = replace(SETTINGS, steps=4, log_every=2, trackers=("tensorboard",))
    train(LineObjective(), settings, tmp_path / "run", resume=False, record={"data": "x"})
    numbers = ("examples_per_second", "loss", "lr", "norm")
    lines = [(0, "-error"), (1, *numbers), (2, *numbers), (4, *numbers), (4, "-error")]
    assert Collected.seen == [("settings", 0.1, "x"), *lines, ("finished",)]
    assert (tmp_path / "run/tracking/events").read_text() == "fidtools"


@pytest.mark.parametrize(("name", "message"), [("papyrus", "known are aim"), ("wandb", "pip install wandb")])
def test_a_tracker_that_is_not_there_says_what_to_do(tmp_path, monkeypatch, name, message):
    monkeypatch.setattr(tracking, "get_available_trackers", list)
    settings = replace(SETTINGS, trackers=(name,))
    with pytest.raises(FidtoolsError, match=message):
        train(LineObjective(), settings, tmp_path / "run", resume=False, record={})


RANKS = """
import sys; sys.path.insert(0, {root!r})
import torch; torch.set_num_threads(1)
from pathlib import Path
from fidtools.compute.ranks import shutdown
from tests.test_training import LineObjective, TrainingSettings, train
objective = LineObjective(); objective.module.dropout.p = 0.0
settings = TrainingSettings(steps=6, batch=5, lr=0.1, precision="float32")
train(objective, settings, Path({out!r}), resume=False, record={{}})
shutdown()
"""


def test_two_ranks_learn_the_same_weights_as_one(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(
            RANKS.format(root=str(Path(__file__).parents[1]), out=str(tmp_path / name))
        )
    subprocess.run([sys.executable, tmp_path / "one.py"], check=True)
    two_ranks.run_script(tmp_path / "two.py")
    assert weight(tmp_path / "two/last") == pytest.approx(weight(tmp_path / "one/last"), abs=1e-6)
