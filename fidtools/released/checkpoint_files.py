"""The files of a released checkpoint's folder: configuration, weights and tokenizer."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fidtools.compute import tokenizers as compute_tokenizers
from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.weight_files import is_pointer
from fidtools.data.files import PathLike
from fidtools.errors import DataError, FidtoolsError

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint folder by name, from safetensors or from a pickle that holds nothing else.

    Raises DataError when there is neither, when the pickle contains other objects (none of its code is run), and for
    weights that are integers or not finite.
    """
    path = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"no weights: neither {' nor '.join(WEIGHT_FILES)}", path=folder)
    if is_pointer(path):
        raise DataError("a pointer of Git LFS, not the weights", path=path, hint="fetch them: git lfs pull")
    if path.suffix == ".safetensors":
        with loading(path):
            tensors = load_file(path)
    else:
        tensors = _read_pickle(path)
    for name, value in tensors.items():
        if not value.is_floating_point() and not name.endswith("position_ids"):
            problem = f"the weight {name} is of type {str(value.dtype).removeprefix('torch.')}: a quantized model?"
            raise DataError(problem, path=path, hint="give the checkpoint before it was quantized")
        if not value.isfinite().all():
            raise DataError(f"the weight {name} has values that are infinite or not numbers", path=path)
    return tensors


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles by other protocols
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        hint = "other objects in a pickle can run code when it is read"
        raise DataError("not a file of tensors only; refused for safety", path=path, hint=hint) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise DataError("truncated or corrupt checkpoint", path=path) from error
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise DataError("expected a dictionary of tensors", path=path, value=type(tensors).__name__)
    return tensors


def fill(network: nn.Module, tensors: Mapping[str, Tensor], source: PathLike) -> None:
    """Copy the tensors of those names into a network, in its own precision.

    Raises DataError for missing and unexpected names, other shapes, and different values of tied weights.
    """
    own = network.state_dict()
    tied: dict[str, str] = dict(getattr(network, "all_tied_weights_keys", {}))
    for names, problem in (
        (own.keys() - tensors.keys() - tied.keys(), "missing"),
        (tensors.keys() - own.keys(), "unexpected"),
    ):
        if names:
            found = f"{len(names)} {problem}, such as {min(names)}"
            raise DataError(f"the weights do not fit config.json: {found}", path=source)
    for name, value in tensors.items():
        if value.shape != own[name].shape:
            sizes = f"{tuple(value.shape)} instead of {tuple(own[name].shape)}"
            raise DataError(f"the weights do not fit config.json, such as {name}: {sizes}", path=source)
        other = tied.get(name, name)
        if other in tensors and not torch.equal(value, tensors[other]):
            problem = f"{name} and {other} differ, which config.json ties"
            raise DataError(problem, path=source, hint="set tie_word_embeddings to false in its config.json")
    network.load_state_dict(dict(tensors), strict=False)


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
