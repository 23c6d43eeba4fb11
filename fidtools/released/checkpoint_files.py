"""The files of a released checkpoint's folder: configuration, weights and tokenizer."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors.torch import load_file
from torch import Tensor

from fidtools.compute import tokenizers as compute_tokenizers
from fidtools.compute.hub import loading, resolve_model
from fidtools.errors import DataError, FidtoolsError

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def read_config(folder: Path) -> dict[str, Any]:
    """The object in `config.json`. Raises DataError for anything else, FileNotFoundError when there is no such file."""
    path = folder / "config.json"
    try:
        config = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise DataError(f"malformed JSON: {error}", path=path) from error
    if not isinstance(config, dict):
        raise DataError("expected a JSON object", path=path, value=type(config).__name__)
    return config


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint folder by name, from safetensors or from a pickle that holds nothing else.

    Raises DataError when there is neither, or when the pickle contains other objects; none of its code is run.
    """
    path = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"no weights: neither {' nor '.join(WEIGHT_FILES)}", path=folder)
    if path.suffix == ".safetensors":
        with loading(path):
            return load_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles by other protocols
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        hint = "other objects in a pickle can run code when it is read"
        raise DataError("not a file of tensors only; refused for safety", path=path, hint=hint) from error
    except (RuntimeError, EOFError) as error:
        raise DataError("truncated or corrupt checkpoint", path=path) from error
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise DataError("expected a dictionary of tensors", path=path, value=type(tensors).__name__)
    return tensors


def load_tokenizer(
    folder: Path,
    name: str | Path | None,
    *,
    vocabulary: str,
    from_vocabulary: Callable[[Path], Any],
    default: str,
    rows: int,
) -> Any:
    """The tokenizer `name`, else the one in the checkpoint's folder, else `default`.

    A folder with only the file `vocabulary` (as old checkpoints have it) is loaded by `from_vocabulary`. Raises
    FidtoolsError when the tokenizer cannot be loaded, or has more tokens than the checkpoint has embeddings (`rows`).
    """
    has_own = any((folder / file).is_file() for file in ("tokenizer.json", vocabulary))
    chosen = str(name) if name is not None else str(folder) if has_own else default
    with loading(chosen):
        if (Path(chosen) / vocabulary).is_file():
            tokenizer = from_vocabulary(Path(chosen))
        else:  # a tokenizer's folder need not be a model folder, which `resolve_model` asks for
            where = Path(chosen) if Path(chosen).is_dir() else resolve_model(chosen)
            tokenizer = compute_tokenizers.load_tokenizer(chosen, where)
    if (most := 1 + max(tokenizer.get_vocab().values())) > rows:
        hint = "give the tokenizer that the checkpoint was trained with by --tokenizer"
        raise FidtoolsError(f"{chosen}: the tokenizer has {most:,} tokens, the checkpoint {rows:,}", hint=hint)
    return tokenizer
