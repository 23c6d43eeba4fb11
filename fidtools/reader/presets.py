"""The paper's training settings by name (appendix A.2 and Table 7). Without torch, so that commands start fast."""

from __future__ import annotations

from dataclasses import dataclass

from fidtools.reader.run import ReaderInputs, ReaderRun
from fidtools.training.settings import TrainingSettings


@dataclass(frozen=True)
class Preset:
    """The settings of a run that the paper gives for a size of reader."""

    settings: TrainingSettings = ReaderRun.settings
    inputs: ReaderInputs = ReaderRun.inputs
    dropout: float = ReaderRun.dropout


PRESETS = {
    "base": Preset(),
    "large": Preset(
        TrainingSettings(
            steps=15_000,  # 600 of warm-up and 14,400 of decay
            lr=5e-5,
            optimizer="adamw",
            schedule="linear",
            warmup=600,
            weight_decay=0.01,  # the paper gives none: AdamW's usual one
        )
    ),
}
