"""The paper's training settings by name (appendix A.2 and Table 7)."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "base": {
        "steps": 10_000,
        "batch": 64,
        "lr": 1e-4,
        "optimizer": "adam",
        "schedule": "constant",
        "warmup": 0,
        "weight_decay": 0.0,
        "clip": 1.0,
        "dropout": 0.1,
        "n_context": 100,
        "text_maxlength": 250,
    },
    "large": {
        "steps": 15_000,
        "batch": 64,
        "lr": 5e-5,
        "optimizer": "adamw",
        "schedule": "linear",
        "warmup": 600,
        "weight_decay": 0.01,  # not in the paper: AdamW's default
        "clip": 1.0,
        "dropout": 0.1,
        "n_context": 100,
        "text_maxlength": 250,
    },
}
"""The large reader's 15,000 steps are 600 of warm-up and 14,400 of linear decay."""


def with_preset(name: str, **given: Any) -> dict[str, Any]:
    """The preset's settings, updated with the given ones that are not None."""
    return PRESETS[name] | {key: value for key, value in given.items() if value is not None}
