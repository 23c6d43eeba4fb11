"""The one training loop, shared by reader, retriever and teacher.

What is trained is an `Objective`; the loop draws examples, accumulates gradients over micro-batches, updates, evaluates
and saves. Which examples an update sees is a function of its number, and dropout is seeded by it, so a run that was
stopped anywhere continues to the same weights, bit for bit on a CPU in float32.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

import torch

from fidtools.compute.device import Compute, seed_everything
from fidtools.compute.precision import Precision, use_eager_attention
from fidtools.compute.ranks import ranks, sum_over_ranks
from fidtools.errors import DataError
from fidtools.logs import log, track
from fidtools.training.run_folder import Run
from fidtools.training.trackers import Trackers


@dataclass(frozen=True)
class ExampleRef:
    """One example at one place of the endless stream: its index, and the epoch for choices drawn anew in each."""

    index: int
    epoch: int


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; the defaults are the paper's where it names one (Table 7, reader-base)."""

    steps: int = 10_000
    batch: int = 64
    lr: float = 1e-4
    optimizer: Literal["adam", "adamw"] = "adam"
    schedule: Literal["constant", "linear"] = "constant"
    warmup: int = 0
    weight_decay: float = 0.0
    clip: float = 1.0
    seed: int = 0
    precision: Precision = "auto"
    eval_every: int = 500
    save_every: int = 500
    patience: int = 0
    log_every: int = 10
    trackers: tuple[str, ...] = ()


class Objective(Protocol):
    """What is trained, on what, and how well it does."""

    module: torch.nn.Module
    """Its forward takes a micro-batch and returns the SUM of the examples' losses, a scalar."""
    n_examples: int
    metric: str
    """The key of `evaluate()` by which the best model is chosen; larger is better."""

    def normalizer(self, draws: Sequence[ExampleRef]) -> float:
        """What the summed loss of one update's examples (all ranks') is divided by."""

    def micro_batches(self, draws: Sequence[ExampleRef]) -> Iterator[Any]:
        """The examples as inputs of `module`, in pieces that fit into memory."""

    def evaluate(self) -> dict[str, float]:
        """The metrics on the whole dev set, equal on every rank; empty when there is none."""

    def save(self, folder: Path) -> None:
        """Write the model in its public format into an existing folder."""


@dataclass
class Progress:
    """How far a run is: updates done, best model so far, evaluations since then."""

    step: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


def examples_of_step(n_examples: int, batch: int, seed: int, step: int) -> list[ExampleRef]:
    """The examples of update `step` (from 0): consecutive places in an endless row of seeded permutations."""
    places = range(step * batch, (step + 1) * batch)
    epochs = {place // n_examples for place in places}
    orders = {epoch: _permutation(n_examples, seed, epoch) for epoch in epochs}
    return [ExampleRef(int(orders[p // n_examples][p % n_examples]), p // n_examples) for p in places]


def _permutation(n: int, seed: int, epoch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % (1 << 63))
    return torch.randperm(n, generator=generator)


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """The rate of update `step` (from 0): linear warm-up, then constant or falling linearly to zero after the last."""
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    if settings.schedule == "constant":
        return settings.lr
    return settings.lr * (settings.steps - step) / max(1, settings.steps - settings.warmup)


def train(
    objective: Objective, settings: TrainingSettings, folder: Path, *, resume: bool, record: dict[str, Any]
) -> dict[str, float]:
    """Train, and leave the best model in `folder` (and the last in `folder/last`); returns the best one's metrics.

    While it runs, everything lies in `folder.partial`; `resume` continues from there. `record` says what the run is
    (data, start, options): it is kept in `training.json`, and a run is only continued under the same record.
    Raises UsageError when an unfinished run is in the way or differs, DataError when the loss is no longer a number.
    """
    if objective.n_examples == 0:
        raise DataError("no examples to train on")
    return _Loop(objective, settings, Run(folder, {"settings": asdict(settings)} | record)).run(resume)


class _Loop:
    def __init__(self, objective: Objective, settings: TrainingSettings, run: Run) -> None:
        self.objective, self.settings, self.files = objective, settings, run
        self.compute = Compute.choose(settings.precision)
        self.module = objective.module.to(self.compute.device)
        if self.compute.eager_attention_is_faster:
            use_eager_attention(self.module)
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = _optimizer(self.parameters, settings)
        self.progress = Progress()
        self.stop = False

    def run(self, resume: bool) -> dict[str, float]:
        with self.files.open(resume) as state, self._signals():
            if state is not None:
                self.progress = Progress(**state)
                self.files.load(self.module, self.optimizer)
                log.info("continuing after update %d", self.progress.step)
            names = self.settings.trackers if ranks().is_main else ()
            self.trackers = Trackers(names, self.files.folder, self.files.record)
            steps = range(self.progress.step, self.settings.steps)
            for step in track(steps, "training", total=len(steps)):
                if self._exhausted():
                    break
                self._update(step)
                self._after(step + 1)
            self._finish()
        return self.progress.metrics

    def _exhausted(self) -> bool:
        """Early stop: `patience` evaluations in a row without a better model."""
        return bool(self.settings.patience) and self.progress.stale >= self.settings.patience

    def _update(self, step: int) -> None:
        started, me = time.perf_counter(), ranks()
        draws = examples_of_step(self.objective.n_examples, self.settings.batch, self.settings.seed, step)
        normalizer = self.objective.normalizer(draws)
        seed_everything(self.settings.seed, step, me.rank)
        self.module.train()
        self.optimizer.zero_grad(set_to_none=True)
        summed = 0.0
        for batch in self.objective.micro_batches(me.shard(draws)):
            with self.compute.autocast():
                loss = self.module(batch) / normalizer
            loss.backward()
            summed += loss.item()
        norm, rate = self._step(step)
        loss_value = sum_over_ranks(summed)
        if loss_value != loss_value:
            raise DataError(f"the loss became NaN at update {step + 1}", hint="lower --lr, or use --precision float32")
        self.progress.step = step + 1
        if (step + 1) % self.settings.log_every == 0 or step == 0:
            per_second = len(draws) / (time.perf_counter() - started)
            self._log(step=step + 1, loss=loss_value, norm=norm, lr=rate, examples_per_second=round(per_second, 2))

    def _step(self, step: int) -> tuple[float, float]:
        """Sum the gradients over ranks, clip, update; returns the norm before clipping and the learning rate."""
        _sum_gradients(self.parameters)
        limit = self.settings.clip if self.settings.clip > 0 else float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        rate = learning_rate(self.settings, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return float(norm), rate

    def _after(self, step: int) -> None:
        last = step == self.settings.steps
        evaluated = step % self.settings.eval_every == 0 or last
        if evaluated:
            self._evaluate()
        if self.stop or evaluated or step % self.settings.save_every == 0:
            self.files.save(self.module, self.optimizer, asdict(self.progress))
        if self.stop:
            log.warning("stopped after update %d, which is saved: --resume continues", step)
            raise SystemExit(143)

    def _evaluate(self) -> None:
        self.module.eval()
        with torch.inference_mode(), self.compute.autocast():
            metrics = self.objective.evaluate()
        progress = self.progress
        value = metrics.get(self.objective.metric)
        if value is None or progress.best is None or value > progress.best:
            progress.best, progress.best_step, progress.stale, progress.metrics = value, progress.step, 0, metrics
            self.files.save_best(self.objective.save)
        else:
            progress.stale += 1
        if metrics:
            self._log(step=progress.step, **metrics)
            log.info("update %d: %s", progress.step, ", ".join(f"{k} {v:.4g}" for k, v in metrics.items()))

    def _log(self, **values: float) -> None:
        self.files.log(**values)
        self.trackers.log(values)

    def _finish(self) -> None:
        self.trackers.finish()
        summary = {"steps": self.progress.step, "best_step": self.progress.best_step, "metrics": self.progress.metrics}
        self.files.finish(self.objective.save, summary)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C let the update end and be saved; a second one stops at once."""

        def note(signum: int, frame: FrameType | None) -> None:
            self.stop = True
            for number, handler in before.items():
                signal.signal(number, handler)

        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _optimizer(parameters: list[torch.nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=settings.lr, weight_decay=settings.weight_decay)


def _sum_gradients(parameters: list[torch.nn.Parameter]) -> None:
    """Add up the ranks' gradients. A parameter without one on this rank (it had no examples) counts as zero."""
    if ranks().world == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        torch.distributed.all_reduce(parameter.grad)
