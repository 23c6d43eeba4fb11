"""The configuration of a reader's training run. Without torch, so that commands start fast."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fidtools.training.settings import TrainingSettings, check_adapter


@dataclass(frozen=True)
class ReaderInputs:
    """What the reader reads and writes; None keeps the start's own setting. Lengths are in tokens."""

    text_maxlength: int | None = 250
    answer_maxlength: int | None = None
    n_context: int | None = 100
    question_prefix: str | None = None
    title_prefix: str | None = None
    context_prefix: str | None = None
    title: bool = True


SETTINGS = TrainingSettings()
INPUTS = ReaderInputs()


@dataclass(frozen=True)
class ReaderRun:
    """One training run of a reader. Paths and model names are strings, as on the command line."""

    train: str
    reader: str
    dev: str | None = None
    settings: TrainingSettings = SETTINGS
    inputs: ReaderInputs = INPUTS
    dropout: float = 0.1
    token_budget: int = 16384
    gradient_checkpointing: bool = False
    lora: int | None = None
    keep_adapter: bool = False

    def __post_init__(self) -> None:
        check_adapter(self.lora, self.keep_adapter)

    def record(self) -> dict[str, Any]:
        """What the run is, as kept in `training.json`."""
        return {
            "command": "train-reader",
            "train": self.train,
            "dev": self.dev,
            "reader": self.reader,
            "inputs": asdict(self.inputs),
            "dropout": self.dropout,
            "token_budget": self.token_budget,
        } | ({} if self.lora is None else {"lora": self.lora, "keep_adapter": self.keep_adapter})
