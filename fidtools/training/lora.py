"""Training low-rank adapters instead of all weights (Hu et al., LoRA), by PEFT; saved models hold plain weights."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from fidtools.compute.device import seed_everything
from fidtools.data.jsonl import write_json
from fidtools.errors import MissingExtraError

BASE = ".base_layer"
ADAPTER = "adapter"
"""The folder of the adapter alone, inside that of the model."""
UNUSED = "pooler"
"""Of BERT: retrievers do not use it."""
_ABOUT = "_fidtools_lora"


@dataclass(frozen=True)
class _About:
    """The parts of a model that are trained as they are, and the model's name where the adapter is kept alone."""

    parts: tuple[str, ...]
    base: str | None


def add_lora(model: Any, rank: int, seed: int = 0, *, parts: Sequence[str] = (), keep: str | None = None) -> None:
    """Put adapters of this rank beside all linear layers but the output's, and freeze everything else but `parts`.

    `parts` names modules, such as a new head, that are trained without an adapter. The adapters are scaled by 2 (alpha
    is twice the rank) and drawn from `seed`, the same on every rank. The model stays of its class and computes the same
    until it is trained. With `keep`, the name of the start, `save_merged` also writes the adapter alone. Raises
    MissingExtraError without PEFT.
    """
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError("--lora", "lora")
    from peft import LoraConfig, inject_adapter_in_model

    names = {name.split(".")[-1] for name, _ in model.named_modules()}
    present = tuple(sorted(names & set(parts)))
    left_out = sorted(names & {UNUSED, *parts})
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        exclude_modules=rf"(.*\.)?({'|'.join(left_out)})(\..*)?" if left_out else None,
    )
    seed_everything(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # GPT-2 stores its weights transposed, which PEFT corrects
        inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        if _is_in(name, present):
            parameter.requires_grad_(True)
    setattr(model, _ABOUT, _About(present, keep))


def _is_in(name: str, parts: Sequence[str]) -> bool:
    return any(part in parts for part in name.split("."))


def save_merged(model: Any, folder: Path) -> None:
    """Save a model as `transformers` does, its adapters (if any) added to the weights.

    The model's own weights are not touched, so training goes on exactly as it would without saving. The adapter alone
    is written into `adapter/`, as PEFT does, where `add_lora` was told to keep it.
    """
    if not _adapted(model):
        model.save_pretrained(folder)
        return
    model.save_pretrained(folder, state_dict=_merged_weights(model))
    about: _About = getattr(model, _ABOUT)
    if about.base is not None:
        _save_adapter(model, folder / ADAPTER, about)


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


def _save_adapter(model: Any, folder: Path, about: _About) -> None:
    """Write the adapter and the parts that were trained beside it, with the names of a PEFT model."""
    ((adapter, config),) = model.peft_config.items()
    folder.mkdir()
    record = {name: sorted(value) if isinstance(value, set) else value for name, value in config.to_dict().items()}
    record |= {"base_model_name_or_path": about.base, "inference_mode": True}
    write_json(folder / "adapter_config.json", record | {"modules_to_save": list(about.parts) or None})
    tensors = {
        f"base_model.model.{name.replace(f'.{adapter}.', '.')}": value.detach().cpu().contiguous()
        for name, value in model.state_dict().items()
        if ".lora_" in name or _is_in(name, about.parts)
    }
    save_file(tensors, folder / "adapter_model.safetensors")
