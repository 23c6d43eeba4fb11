"""The configuration of a teacher's training run. Without torch, so that commands start fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from fidtools.encoders.student_size import StudentSize
from fidtools.errors import UsageError
from fidtools.metrics.labels import Labels
from fidtools.training.settings import TrainingSettings, check_adapter, flat

SETTINGS = TrainingSettings(
    steps=2000,
    batch=16,
    lr=2e-5,
    optimizer="adamw",
    schedule="linear",
    weight_decay=0.01,
    eval_every=200,
    save_every=200,
)
SIZE = StudentSize()
SoftLoss = Literal["kl", "mse", "margin", "margin-mse"]
SOFT_LOSSES: tuple[str, ...] = get_args(SoftLoss)


@dataclass(frozen=True)
class SoftTargets:
    """How a teacher learns from scores: the loss, as train-retriever has it, and its settings."""

    loss: SoftLoss = "kl"
    temperature: float = 1.0
    teacher_temperature: float = 1.0
    gamma: float = 0.2

    def options(self) -> dict[str, float]:
        """The settings that the loss takes."""
        if self.loss == "kl":
            return {"temperature": self.temperature, "teacher_temperature": self.teacher_temperature}
        return {"gamma": self.gamma} if self.loss == "margin" else {}


SOFT_TARGETS = SoftTargets()


@dataclass(frozen=True)
class TeacherRun:
    """One training run of a teacher; exactly one of `teacher` (the start) and `coattention` (from scratch) is given.

    Paths and model names are strings, as on the command line. None keeps the start's own setting.
    """

    train: str
    teacher: str | None = None
    coattention: bool = False
    dev: str | None = None
    teacher_scores: str | None = None
    targets: SoftTargets = SOFT_TARGETS
    labels: Labels = "answer"
    n_passages: int = 100
    negatives: int = 7
    maxlength: int | None = None
    lora: int | None = None
    keep_adapter: bool = False
    settings: TrainingSettings = SETTINGS
    size: StudentSize = SIZE
    token_budget: int = 16384

    def __post_init__(self) -> None:
        if (self.teacher is None) == (not self.coattention):
            raise UsageError("give exactly one of `teacher` (initial model) and `coattention` (train from scratch)")
        check_adapter(self.lora, self.keep_adapter)
        if self.coattention and self.lora is not None:
            raise UsageError("`lora` only applies to an initial model (`teacher`), not to `coattention`")
        if self.teacher_scores is None and self.targets != SOFT_TARGETS:
            raise UsageError("a loss and its temperatures are for `teacher_scores`", hint="labels have their own loss")
        if not self.coattention:
            self.size.check_unused("coattention")

    def record(self) -> dict[str, Any]:
        """What the run is, as kept in `training.json`."""
        return {"command": "train-teacher", **flat(self)}
