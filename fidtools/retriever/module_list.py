"""`modules.json` of sentence-transformers: a model's modules in order, each with a folder of its own.

Only modules of that library are known, by name. None of them is imported, and code that comes with a folder is not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors.torch import load_file, save_file

from fidtools.data.jsonl import read_json_object, write_json
from fidtools.encoders.sentence_layers import ACTIVATIONS, LAYERS, ON_VECTORS, Dense, Layer, LayerNorm, activation_name
from fidtools.errors import DataError, FidtoolsError

LIBRARY = "sentence_transformers.models"
OLD_TRANSFORMERS = {"BERT", "RoBERTa", "DistilBERT", "ALBERT", "CamemBERT", "XLMRoBERTa", "T5", "XLNet"}
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Module:
    """One entry: the name of its class and its folder, absolute."""

    kind: str
    folder: Path


class ModuleWriter:
    """The modules of a new folder, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.entries = folder, list[dict[str, Any]]()

    def add(self, name: str, *, root: bool = False) -> Path:
        """The new folder of another module, or the root itself."""
        number = len(self.entries)
        path = "" if root else f"{number}_{name}"
        self.entries.append({"idx": number, "name": str(number), "path": path, "type": f"{LIBRARY}.{name}"})
        (self.folder / path).mkdir(exist_ok=True)
        return self.folder / path

    def add_layer(self, layer: Layer) -> None:
        """Write a layer after pooling."""
        path = self.add(layer.kind)
        write_json(path / "config.json", layer.config)
        if tensors := layer.state_dict():
            save_tensors(path, tensors)

    def write(self) -> None:
        """Write `modules.json`."""
        write_json(self.folder / "modules.json", self.entries)


def save_tensors(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a module's weights into its folder."""
    save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, folder / WEIGHTS)


def read_modules(folder: Path) -> list[Module]:
    """The modules of a folder; none without `modules.json`.

    Raises DataError for a list of another shape, FidtoolsError for a module of another library.
    """
    path = folder / "modules.json"
    if not path.exists():
        return []
    try:
        entries = [(str(entry["type"]), str(entry["path"])) for entry in orjson.loads(path.read_bytes())]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError("expected a list of modules with `type` and `path`", path=path) from error
    for kind, place in entries:
        if not kind.startswith("sentence_transformers."):
            hint = "only the modules of sentence-transformers itself can be loaded"
            raise FidtoolsError(f"{folder}: the module {kind} is code of its own, which is never run", hint=hint)
        if not (folder / place).resolve().is_relative_to(folder.resolve()):
            raise DataError("a module outside the folder", path=path, value=place)
    return [Module(_kind(kind), folder / place) for kind, place in entries]


def _kind(kind: str) -> str:
    """The module's name; old folders name the transformer's architecture."""
    name = kind.rsplit(".", 1)[-1]
    return "Transformer" if name in OLD_TRANSFORMERS else name


def layers_after_pooling(modules: Sequence[Module]) -> tuple[list[Layer], bool]:
    """The layers of these modules, and whether a last one makes vectors of unit length, which is not among them.

    Raises FidtoolsError for a module that is no layer, DataError for one whose files do not fit or are missing.
    """
    normalizes = bool(modules) and modules[-1].kind == "Normalize"
    if unknown := [module.kind for module in modules if module.kind not in LAYERS]:
        hint = f"after pooling only {', '.join(sorted(LAYERS))} can be loaded"
        raise FidtoolsError(f"unsupported module: {', '.join(sorted(set(unknown)))}", hint=hint)
    for module in modules:
        _check_input(module)
    return [_read_layer(module) for module in modules[: len(modules) - normalizes]], normalizes


def _config(module: Module) -> dict[str, Any]:
    path = module.folder / "config.json"
    return read_json_object(path) if path.exists() else {}  # older folders have none for Normalize


def _check_input(module: Module) -> None:
    config = _config(module)
    for name in ("module_input_name", "module_output_name"):
        if (value := config.get(name)) not in (None, ON_VECTORS):
            raise DataError(f"unsupported {module.kind}", path=module.folder / "config.json", field=name, value=value)


def _read_layer(module: Module) -> Layer:
    path = module.folder / "config.json"
    config = _config(module)
    tensors = _read_tensors(module.folder) if module.kind in (Dense.kind, LayerNorm.kind) else {}
    sizes = ("in_features", "out_features") if module.kind == Dense.kind else ("dimension",)
    if not all(value.isfinite().all() for value in tensors.values()):
        raise DataError("weights that are infinite or not numbers", path=module.folder)
    if tensors:  # before memory is allocated for them
        named = tensors.get("linear.weight" if module.kind == Dense.kind else "norm.weight")
        expected = [config.get(name) for name in reversed(sizes)]
        if named is None or list(named.shape) != expected:
            raise DataError("the weights are not those of config.json", path=module.folder)
    if module.kind == Dense.kind and (name := activation_name(config)) not in ACTIVATIONS:
        raise DataError("unsupported activation function", path=path, field="activation_function", value=name)
    try:
        layer = LAYERS[module.kind](config)
        layer.load_state_dict(tensors)
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError("the weights are not those of config.json", path=module.folder) from error
    return layer


def _read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    if (folder / WEIGHTS).exists():
        return load_file(folder / WEIGHTS)
    if (folder / "pytorch_model.bin").exists():
        found = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
        if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
            raise DataError("expected a dictionary of tensors", path=folder / "pytorch_model.bin")
        return found
    raise DataError("no weights in it: neither model.safetensors nor pytorch_model.bin", path=folder)
