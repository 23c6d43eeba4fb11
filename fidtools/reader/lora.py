"""Training low-rank adapters instead of all weights (Hu et al., LoRA), by PEFT; saved models hold plain weights."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

from fidtools.compute.device import seed_everything
from fidtools.errors import MissingExtraError

BASE = ".base_layer"


def add_lora(model: Any, rank: int, seed: int = 0) -> None:
    """Put adapters of this rank beside all linear layers but the output's, and freeze everything else.

    They are scaled by 2 (alpha is twice the rank) and drawn from `seed`, the same on every rank. The model stays of its
    class and computes the same until it is trained. Raises MissingExtraError without PEFT.
    """
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError("--lora", "lora")
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear")
    seed_everything(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # GPT-2 stores its weights transposed, which PEFT corrects
        inject_adapter_in_model(config, model)


def save_merged(model: Any, folder: Path) -> None:
    """Save a model as `transformers` does, its adapters (if any) added to the weights.

    The model's own weights are not touched, so training goes on exactly as it would without saving.
    """
    if not _adapted(model):
        model.save_pretrained(folder)
        return
    model.save_pretrained(folder, state_dict=_merged_weights(model))


def _adapted(model: Any) -> dict[str, Any]:
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}


def _merged_weights(model: Any) -> dict[str, Tensor]:
    """The weights under the names that the model has without adapters."""
    adapted = _adapted(model)
    weights = {name.replace(BASE, ""): value for name, value in model.state_dict().items() if ".lora_" not in name}
    for name, module in adapted.items():
        (adapter,) = module.active_adapters
        weights[f"{name}.weight"] = weights[f"{name}.weight"] + module.get_delta_weight(adapter)
    return weights
