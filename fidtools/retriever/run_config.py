"""The configuration of a retriever's training run. Without torch, so that commands start fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from fidtools.data.number_text import is_count
from fidtools.data.prompt_templates import FORMAT_FIELDS, check_format
from fidtools.encoders.pooling import Pooling
from fidtools.encoders.student_size import StudentKind, StudentSize
from fidtools.errors import UsageError, shorten
from fidtools.metrics.labels import Labels
from fidtools.training.settings import TrainingSettings, check_adapter, flat
from fidtools.training.source_passage import SourcePassage

LossName = Literal["kl", "mse", "margin", "margin-mse", "bce", "infonce"]
MaskBy = Literal["teacher", "student"]
Select = Literal["loss", "overlap", "inversions", "mrr"]
LOSSES: tuple[str, ...] = get_args(LossName)
MASK_BY: tuple[str, ...] = get_args(MaskBy)
SELECTS: tuple[str, ...] = get_args(Select)
FORMAT_SETTINGS = (
    "pooling",
    "normalize",
    "question_format",
    "passage_format",
    "question_maxlength",
    "passage_maxlength",
    "question_prompt",
    "passage_prompt",
)
"""Fields of a run that replace those of the start's `RetrieverSettings`, where they are not None.

The last two name prompts of the start, which make the formats.
"""
ONLY_OF_A_START = (
    "question_prompt",
    "passage_prompt",
    "projection",
    "gradient_checkpointing",
    "freeze_passages",
    "lora",
)
"""Fields that a new student cannot have: it has no prompts, is no transformer, and has no passage vectors to keep."""
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
    mask_above: float | None = None
    mask_by: MaskBy = "teacher"
    matryoshka: str | None = None
    probabilities: bool = False
    cosine_temperature: float | None = None
    labels: Labels | None = None
    n_passages: int = 100
    source_passage: SourcePassage = "keep"
    group_size: int = 1
    settings: TrainingSettings = SETTINGS
    select: Select = "loss"
    pooling: Pooling | None = None
    projection: int | None = None
    normalize: bool | None = None
    question_maxlength: int | None = None
    passage_maxlength: int | None = None
    question_format: str | None = None
    passage_format: str | None = None
    question_prompt: str | None = None
    passage_prompt: str | None = None
    dropout: float | None = None
    gradient_checkpointing: bool = False
    freeze_passages: bool = False
    lora: int | None = None
    keep_adapter: bool = False
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
        for kind in ("question", "passage"):
            if getattr(self, f"{kind}_prompt") is not None and getattr(self, f"{kind}_format") is not None:
                raise UsageError(f"give `{kind}_prompt` or `{kind}_format`, not both")
        if self.mask_above is not None and self.loss != "infonce":
            raise UsageError(f"`mask_above` does not apply to `loss` {self.loss}", hint="it applies to infonce")
        if self.mask_by == "student" and self.mask_above is None:
            raise UsageError("`mask_by` student needs a margin", hint="add `mask_above`")
        check_adapter(self.lora, self.keep_adapter)
        self.dims()
        if self.student is None:
            self.size.check_unused("student")
        else:
            self._check_new_student()

    def _check_new_student(self) -> None:
        for name in ONLY_OF_A_START:
            if getattr(self, name) not in (None, False):
                raise UsageError(f"`{name}` only applies to an initial model (`retriever`), not to `student`")

    def dims(self) -> list[int]:
        """The dimensions in `matryoshka`, ascending. Raises UsageError for what is not a list of them."""
        parts = self.matryoshka.split(",") if self.matryoshka is not None else []
        numbers = [int(part) if is_count(part.strip()) else 0 for part in parts]
        if min(numbers, default=1) < 1 or len(set(numbers)) < len(numbers):
            hint = "give different dimensions with commas between them: 64,128,256"
            raise UsageError(f"`matryoshka` {shorten(self.matryoshka)}: not a list of dimensions", hint=hint)
        return sorted(numbers)

    def format_changes(self) -> dict[str, Any]:
        """The fields of RetrieverSettings that this run replaces."""
        return {name: value for name in FORMAT_SETTINGS if (value := getattr(self, name)) is not None}

    def record(self) -> dict[str, Any]:
        """What the run is, as kept in `training.json`, without idle settings that are newer than version 0.1."""
        idle = {"mask_by": self.mask_above is None, "group_size": self.group_size == 1}
        entries = {"command": "train-retriever", **flat(self)}
        return {name: value for name, value in entries.items() if not idle.get(name, False)}
