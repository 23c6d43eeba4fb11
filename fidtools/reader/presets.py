"""Training settings by name: the paper's (appendix A.2 and Table 7), and ours for causal language models.

Without torch, so that commands start fast."""

from __future__ import annotations

from dataclasses import dataclass

from fidtools.reader.run_config import ReaderInputs, ReaderRun
from fidtools.training.settings import TrainingSettings


@dataclass(frozen=True)
class Preset:
    """The settings of a run for one kind of reader."""

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
    "causal": Preset(
        TrainingSettings(
            steps=2_000, batch=8, lr=1e-4, optimizer="adamw", schedule="linear", warmup=50, weight_decay=0.01
        ),
        ReaderInputs(text_maxlength=200, n_context=20),
        dropout=0.0,  # they are pre-trained without
    ),
}
