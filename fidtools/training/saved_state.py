"""The weights and the optimizer of an unfinished run, saved and put back exactly."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.safetensors"


def save_tensors(folder: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write the module's weights and the optimizer's state into an existing folder."""
    weights = {name: value.detach().cpu().contiguous() for name, value in _named_tensors(module).items()}
    save_file(weights, folder / WEIGHTS)
    save_file(_optimizer_tensors(optimizer), folder / OPTIMIZER)


def restore_tensors(folder: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put what `save_tensors` wrote back into the module and its optimizer.

    Raises SafetensorError, KeyError, ValueError or RuntimeError when the files are damaged or another model's.
    """
    tensors = load_file(folder / WEIGHTS)
    with torch.no_grad():
        for name, value in _named_tensors(module).items():
            value.copy_(tensors[name])
    _restore_optimizer(optimizer, load_file(folder / OPTIMIZER))


def _named_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, tied ones once."""
    return dict(module.named_parameters()) | dict(module.named_buffers())


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{i}.{key}": value.cpu().contiguous() for i, values in state.items() for key, value in values.items()}


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
