"""The settings every training run has. Without torch, so that commands take their defaults and stay fast to start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from fidtools.errors import UsageError

if TYPE_CHECKING:
    from fidtools.compute.precision import Precision

Optimizer = Literal["adam", "adamw"]
Schedule = Literal["constant", "linear"]
OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)
SCHEDULES: tuple[str, ...] = get_args(Schedule)
NOT_IN_RECORD = ("log_every", "trackers")
"""Settings that change what is logged and where, never the result."""


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; the defaults are the paper's where it gives one (Table 7, reader-base).

    `steps`, `warmup`, `eval_every`, `save_every`, `log_every` count updates, `batch` questions over all ranks,
    `patience` evaluations. `clip` 0 disables gradient clipping, `patience` 0 early stopping.
    """

    steps: int = 10_000
    batch: int = 64
    lr: float = 1e-4
    optimizer: Optimizer = "adam"
    schedule: Schedule = "constant"
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


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """The learning rate of update `step` (from 0): linear warm-up, then constant or linear decay to zero at the end."""
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    if settings.schedule == "constant":
        return settings.lr
    return settings.lr * (settings.steps - step) / max(1, settings.steps - settings.warmup)


def check_adapter(lora: int | None, keep_adapter: bool) -> None:
    """Raise UsageError when an adapter is to be kept that is not trained."""
    if keep_adapter and lora is None:
        raise UsageError("`keep_adapter` needs `lora`, which makes the adapter")


def flat(run: Any) -> dict[str, Any]:
    """The fields of a run's dataclass by name, those of a nested one (settings, size) beside its own."""
    return dict(_items(run))


def _items(run: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(run):
        value = getattr(run, field.name)
        if is_dataclass(value):
            yield from ((name, inner) for name, inner in _items(value) if name not in NOT_IN_RECORD)
        else:
            yield field.name, value
