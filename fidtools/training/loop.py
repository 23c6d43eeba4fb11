"""The training loop shared by reader, retriever and teacher.

What is trained is an `Objective`. The loop draws examples, accumulates gradients over micro-batches, updates, evaluates
and saves. Which examples an update sees is a function of its number, which also seeds dropout, so a run that was
stopped anywhere continues to the same weights, bit for bit on a CPU in float32.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from fidtools.compute.device import Compute, seed_everything
from fidtools.compute.precision import use_eager_attention
from fidtools.compute.ranks import barrier, gather, ranks, sum_over_ranks, together
from fidtools.errors import DataError
from fidtools.logs import log, track
from fidtools.training.objective import Objective
from fidtools.training.order import ExampleRef, examples_of_step
from fidtools.training.progress import Progress
from fidtools.training.run_folder import RunFolder
from fidtools.training.settings import TrainingSettings, learning_rate
from fidtools.training.trackers import Trackers, check_trackers


def train(
    objective: Objective,
    settings: TrainingSettings,
    folder: Path,
    *,
    resume: bool,
    record: dict[str, Any],
    force: bool = False,
) -> dict[str, float]:
    """Train; the best model is left in `folder`, the last one in `folder/last`. Returns the best one's dev metrics.

    The start is evaluated too, and is the best model where no later evaluation is better.
    During training everything is in `folder.partial`; `resume` continues from there. `record` says what the run is
    (data, start, options): it is kept in `training.json`, and a run is only continued under an equal record.
    Raises UsageError when an unfinished run exists and is not continued or differs, or when `folder` holds other files
    (unless `force`), DataError when loss or gradient are not finite.
    """
    if objective.n_examples == 0:
        raise DataError("no examples to train on")
    if settings.warmup > settings.steps:
        reached = learning_rate(settings, settings.steps - 1)
        log.warning("--warmup %d is longer than --steps %d: the learning rate ends at %g, below --lr %g",
                    settings.warmup, settings.steps, reached, settings.lr)  # fmt: skip
    run_folder = RunFolder(folder, {"settings": asdict(settings)} | record, force=force)
    return _Loop(objective, settings, run_folder).run(resume)


def check_run(
    folder: Path,
    settings: TrainingSettings,
    record: dict[str, Any],
    *,
    resume: bool,
    force: bool = False,
    ignore: tuple[str, ...] = (),
) -> dict[str, float] | None:
    """Raise what `train` will raise about its folders and about trackers, before any data is read.

    Returns the best dev metrics of the run when it is to be resumed but is finished, so that there is nothing to do.
    `ignore` names entries that are not in `record` yet because they are only known later.
    """
    run_folder = RunFolder(folder, {"settings": asdict(settings)} | record, force=force)
    finished = run_folder.check(resume=resume, ignore=ignore)
    check_trackers(settings.trackers)
    if finished is None:
        return None
    if not ignore:
        run_folder.clean_up_finished()
        log.info("%s is finished (%d updates); nothing to do", folder, finished["steps"])
    metrics: dict[str, float] = finished["metrics"]
    return metrics


class _Loop:
    def __init__(self, objective: Objective, settings: TrainingSettings, folder: RunFolder) -> None:
        self.objective, self.settings, self.folder = objective, settings, folder
        self.compute = Compute.choose(settings.precision)
        self.module = objective.module.to(self.compute.device)
        if self.compute.eager_attention_is_faster:
            use_eager_attention(self.module)
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = _optimizer(self.parameters, settings)
        self.progress = Progress()
        self._order = lru_cache(maxsize=2)(partial(objective.order, settings.seed))
        self.stopped_by: int | None = None  # the signal that asks to end

    def run(self, resume: bool) -> dict[str, float]:
        with self.folder.open(resume) as state, self._signals():
            if state is not None:
                self.progress = Progress.from_json(state)
                self.folder.load_state(self.module, self.optimizer)
                log.info("continuing after update %d", self.progress.step)
            names = self.settings.trackers if ranks().is_main else ()
            self.trackers = Trackers(names, self.folder.folder, self.folder.record)
            if state is None:
                self._evaluate()
            steps = range(self.progress.step, self.settings.steps)
            for step in track(steps, "updates", total=len(steps)):
                if self._stops_early():
                    break
                self._update(step)
                self._after_update(step + 1)
            self._finish()
        return self.progress.metrics

    def _stops_early(self) -> bool:
        """Whether the last `patience` evaluations have all been without improvement."""
        return 0 < self.settings.patience <= self.progress.evals_without_improvement

    def _update(self, step: int) -> None:
        started = time.perf_counter()
        refs = examples_of_step(self.objective.n_examples, self.settings.batch, step, self._order)
        loss = sum_over_ranks(self._accumulate_gradients(step, refs))
        norm, rate = self._optimizer_step(step)
        _check_finite(f"update {step + 1}", loss=loss, gradient=norm)
        self.progress.step = step + 1
        if (step + 1) % self.settings.log_every == 0 or step == 0:
            per_second = len(refs) / (time.perf_counter() - started)
            self._log(step=step + 1, loss=loss, norm=norm, lr=rate, examples_per_second=round(per_second, 2))

    def _accumulate_gradients(self, step: int, refs: list[ExampleRef]) -> float:
        """Gradients of this rank's share of the update's examples; returns its share of the loss."""
        denominator = self.objective.loss_denominator(refs)
        seed_everything(self.settings.seed, step, ranks().rank)
        self.module.train()
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for batch in self.objective.micro_batches(ranks().shard(refs)):
            with self.compute.autocast():
                loss = self.module(batch) / denominator
            loss.backward()
            total += loss.item()
        return total

    def _optimizer_step(self, step: int) -> tuple[float, float]:
        """Sum the gradients over ranks, clip, update; returns the norm before clipping and the learning rate."""
        _sum_gradients(self.parameters)
        limit = self.settings.clip if self.settings.clip > 0 else float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        rate = learning_rate(self.settings, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return float(norm), rate

    def _after_update(self, step: int) -> None:
        evaluates = step % self.settings.eval_every == 0 or step == self.settings.steps
        if evaluates:
            self._evaluate()
        stopped_by = max(gather(self.stopped_by or 0))  # a signal may reach one rank before the others
        if stopped_by or evaluates or step % self.settings.save_every == 0:
            self.folder.save_state(self.module, self.optimizer, asdict(self.progress))
        if stopped_by:
            barrier()  # a rank that ends makes torchrun end the one that saves
            log.warning("stopped after update %d, which is saved; resume to continue", step)
            raise SystemExit(128 + stopped_by)

    def _evaluate(self) -> None:
        self.module.eval()
        with torch.inference_mode(), self.compute.autocast():
            metrics = self.objective.evaluate()
        step, value = self.progress.step, metrics.get(self.objective.metric)
        if step == 0:
            if value is None:
                return  # without a dev set the last model is the best
            _check_finite("the start", **{"dev metric": value})
        if self.progress.note(value):
            self.progress.best_step, self.progress.metrics = step, metrics
            self.folder.save_best(self.objective.save, step, metrics)
        if metrics:
            self._log(step=step, **metrics)
            log.info("%s: %s", f"update {step}" if step else "start", describe_metrics(metrics))

    def _log(self, **values: float) -> None:
        self.folder.log(**values)
        self.trackers.log(values)

    def _finish(self) -> None:
        self.trackers.finish()
        if self.progress.best_step == 0:
            log.warning("no evaluation was better than the start, which is kept; the last model is in last/")
        summary = {"steps": self.progress.step, "best_step": self.progress.best_step, "metrics": self.progress.metrics}
        self.folder.finish(self.objective.save, summary)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C let the update finish and be saved; a second one stops at once."""

        def note(signum: int, frame: FrameType | None) -> None:
            self.stopped_by = signum
            for number, handler in before.items():
                signal.signal(number, handler)

        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def describe_metrics(metrics: dict[str, float]) -> str:
    """Metrics for people: `name value, name value`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _check_finite(when: str, **values: float) -> None:
    """Raise DataError for a number that is not finite: no step follows from it, and no model can be chosen by it."""
    for name, value in values.items():
        if not math.isfinite(value):
            hint = "lower `lr`, use `precision` float32, or look for scores of absurd size in the data"
            raise DataError(f"the {name} is {'NaN' if math.isnan(value) else 'infinite'} at {when}", hint=hint)


def _optimizer(parameters: list[torch.nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=settings.lr, weight_decay=settings.weight_decay)


def _sum_gradients(parameters: list[torch.nn.Parameter]) -> None:
    """Sum the ranks' gradients. A parameter without one on this rank (which had no examples) counts as zero."""
    if ranks().world == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        with together():
            torch.distributed.all_reduce(parameter.grad)
