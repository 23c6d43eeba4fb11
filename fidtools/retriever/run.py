"""The configuration of a retriever's training run. Without torch, so that commands start fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from fidtools.data.prompt_templates import FORMAT_FIELDS, check_format
from fidtools.encoders.pooling import Pooling
from fidtools.encoders.student_size import StudentKind, StudentSize
from fidtools.errors import UsageError
from fidtools.metrics.labels import Labels
from fidtools.training.settings import TrainingSettings, flat
from fidtools.training.source_passage import SourcePassage

LossName = Literal["kl", "mse", "margin", "margin-mse", "bce", "infonce"]
Select = Literal["loss", "overlap", "inversions"]
LOSSES: tuple[str, ...] = get_args(LossName)
SELECTS: tuple[str, ...] = get_args(Select)
FORMAT_SETTINGS = (
    "pooling",
    "normalize",
    "question_format",
    "passage_format",
    "question_maxlength",
    "passage_maxlength",
)
"""Fields of a run that replace those of the start's `RetrieverSettings`, where they are not None."""
PRESETS: dict[str, dict[str, Any]] = {
    "atlas": {"temperature": 0.01, "teacher_temperature": 0.01},
    "replug": {
        "cosine_temperature": 0.1,
        "teacher_temperature": 0.1,
        "normalize": True,
        "probabilities": True,
    },
}
"""How papers turn likelihoods into targets; every value is also an option of its own.

Atlas (Izacard et al., 2022, perplexity distillation; `perplexity_score` and `kldivloss` of its code): G is the mean
log-likelihood of the answer's tokens, S = E(q)ᵀE(p)/√d. REPLUG (Shi et al., 2023): G is the likelihood, not its
logarithm, and S the cosine; its code computes KL(G̃ ‖ S̃), as here.
"""
SETTINGS = TrainingSettings(lr=5e-5)
SIZE = StudentSize()


@dataclass(frozen=True)
class RetrieverRun:
    """One training run of a retriever; exactly one of `retriever` (the start) and `student` (from scratch) is given.

    Paths, model names and `teacher` are strings, as on the command line. None keeps the start's own setting.
    """

    train: str
    retriever: str | None = None
    student: StudentKind | None = None
    dev: str | None = None
    teacher: str = "attention"
    loss: LossName = "kl"
    temperature: float = 1.0
    teacher_temperature: float = 1.0
    gamma: float = 0.2
    alpha: float = 0.5
    per_passage: bool = False
    in_batch: bool = False
    probabilities: bool = False
    cosine_temperature: float | None = None
    labels: Labels | None = None
    n_passages: int = 100
    source_passage: SourcePassage = "keep"
    settings: TrainingSettings = SETTINGS
    select: Select = "loss"
    pooling: Pooling | None = None
    projection: int | None = None
    normalize: bool | None = None
    question_maxlength: int | None = None
    passage_maxlength: int | None = None
    question_format: str | None = None
    passage_format: str | None = None
    dropout: float | None = None
    gradient_checkpointing: bool = False
    freeze_passages: bool = False
    size: StudentSize = SIZE
    token_budget: int = 16384

    def __post_init__(self) -> None:
        if (self.retriever is None) == (self.student is None):
            raise UsageError("give exactly one of `retriever` (initial model) and `student` (train from scratch)")
        for name in ("temperature", "teacher_temperature", "cosine_temperature"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"`{name}` must be above 0")
        for name in FORMAT_FIELDS:
            if (template := getattr(self, name)) is not None:
                check_format(f"`{name}`", template)
        if self.student is None:
            self.size.check_unused("student")

    def format_changes(self) -> dict[str, Any]:
        """The fields of RetrieverSettings that this run replaces."""
        return {name: value for name in FORMAT_SETTINGS if (value := getattr(self, name)) is not None}

    def record(self) -> dict[str, Any]:
        """What the run is, as kept in `training.json`."""
        return {"command": "train-retriever", **flat(self)}
