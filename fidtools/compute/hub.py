"""Model names: a folder, a name on the Hugging Face hub, or a model bundled in a package."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import re
import sys
import warnings
from collections.abc import Iterator
from logging import CRITICAL, ERROR
from pathlib import Path

from fidtools.compute.bundled import BUNDLED
from fidtools.errors import FidtoolsError, UsageError, is_out_of_memory, shorten
from fidtools.logs import log

WITHOUT_NETWORK = "without network access, give a folder that holds the model, or minilm or smollm (bin/setup laptop)"

LESS_MEMORY = "end other programs, raise the limit (ulimit -v), or give a smaller model"

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
MODEL_FILES = ("config.json", "modules.json")
"""A model folder has one of them: transformers' description of a network, or sentence-transformers' of modules."""
READ_FILES = [
    *("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors"),
    *("*.spm", "*.tiktoken", "*.bpe", "vocab*"),  # tokenizers, as in fidtools.compute.tokenizers
]
OTHER_FORMATS = ["onnx/*", "openvino/*", "*/onnx/*", "*/openvino/*", "checkpoint-*", "coreml/*"]


def resolve_model(name: str | Path, *, weights: bool = True) -> Path:
    """The folder of a model: as given, the one inside a package, or the local copy of a model on the hub.

    `minilm` is all-MiniLM-L6-v2 and `smollm` SmolLM2-135M-Instruct, each from a package. A folder of the same name
    takes precedence. A hub name is downloaded unless it is in the local cache, so that everything beside the weights
    (pooling, prompts, lengths, projection) is read for a name just as for a folder; without its `weights`, if only its
    tokenizer is wanted.

    Raises what `refuse_no_model` raises, and FidtoolsError when the hub has no such model or cannot be reached.
    """
    refuse_no_model(name)
    folder, text = Path(name), str(name)
    if folder.is_dir():
        return folder
    return BUNDLED[text]() if text in BUNDLED else _snapshot(text, weights)


_SEEN: set[str] = set()
"""The model folders that this process has found on the disk."""


def refuse_no_model(name: str | Path) -> None:
    """Raise UsageError for a name that cannot be a model's, without looking further than this machine's disk.

    That is a folder without a model, a file, and what is neither there nor a valid hub name. Raises FidtoolsError for a
    folder that was there before: its name is not looked up on the hub.
    """
    folder, text = Path(name), str(name)
    if folder.is_dir():
        _check_folder(folder)
        _SEEN.add(os.path.abspath(folder))
    elif _is_gone(folder):
        raise _gone(text)
    elif folder.exists():
        raise UsageError(f"{folder}: a model must be a folder, this is a file")
    elif text not in BUNDLED and (not HUB_NAME.fullmatch(text) or text.startswith(".")):
        raise UsageError(f"{shorten(text)}: no such model folder")


def _is_gone(folder: Path) -> bool:
    return os.path.abspath(folder) in _SEEN and not folder.exists()


def _gone(name: str) -> FidtoolsError:
    return FidtoolsError(f"{shorten(name)}: the model folder is gone: it was there when this command began")


def _check_folder(folder: Path) -> None:
    if not any((folder / file).exists() for file in MODEL_FILES):
        hint = "give a folder written by train-reader, train-retriever or save_pretrained"
        if (folder / "adapter_config.json").exists():
            hint = "it holds an adapter only: merge it into its model (peft's merge_and_unload) and save that"
        raise UsageError(f"{folder}: not a model folder: it has no config.json", hint=hint)


@functools.cache
def _snapshot(name: str, weights: bool) -> Path:
    """The local copy of a model on the hub. Pickled weights are fetched only where there are no safetensors."""
    from huggingface_hub import snapshot_download

    with loading(name):
        unread = OTHER_FORMATS if weights else [*OTHER_FORMATS, "*.safetensors"]
        folder = Path(snapshot_download(name, allow_patterns=READ_FILES, ignore_patterns=unread))
        if weights and (wanted := _pickles(folder)):
            snapshot_download(name, allow_patterns=wanted, ignore_patterns=[*OTHER_FORMATS, "*training_args.bin"])
    if not any((folder / file).exists() for file in MODEL_FILES):
        raise FidtoolsError(f"{name}: not a model: it has no config.json")
    return folder


def _pickles(folder: Path) -> list[str]:
    """Patterns of the weights that a snapshot still lacks: of its network, and of each module without safetensors."""
    places = [folder, *(path.parent for path in folder.glob("[0-9]*_*/config.json") if "_Pooling" not in str(path))]
    missing = [place for place in places if not any(place.glob("*.safetensors")) and not any(place.glob("*.bin"))]
    return [(place / "pytorch_model*.bin").relative_to(folder).as_posix() for place in missing]


@contextlib.contextmanager
def loading(name: str | Path) -> Iterator[None]:
    """Turn any error of the libraries inside the block, where a model is loaded, into one FidtoolsError.

    What they print is discarded, since standard output is data; what they read is empty, since standard input is data
    too.
    """
    try:
        with _library_streams():
            yield
    except (FidtoolsError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # whatever a damaged or hostile folder makes the libraries raise; Rust panics too
        log.debug("%s: %s", name, type(error).__name__, exc_info=error)
        if _is_gone(Path(name)):
            raise _gone(str(name)) from error
        if is_out_of_memory(error):
            raise FidtoolsError(f"{name}: cannot load the model: not enough memory", hint=LESS_MEMORY) from error
        hint = None if Path(name).exists() else _where_else(Path(name))
        raise FidtoolsError(f"{name}: cannot load the model: {_reason(error)}", hint=hint) from error


def _where_else(name: Path) -> str:
    """What to try for a name that the hub did not give: it may have been meant for a folder that is not there."""
    beside = f"the folder {name.parent} has no {name.name}; " if len(name.parts) > 1 and name.parent.is_dir() else ""
    return beside + WITHOUT_NETWORK


@contextlib.contextmanager
def _library_streams() -> Iterator[None]:
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it would overwrite ours
    verbosity, stdin = logging.get_verbosity(), sys.stdin
    logging.set_verbosity(CRITICAL)
    try:
        with open(os.devnull) as nothing, _without_output(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecations in their own code
            sys.stdin = nothing
            yield
    finally:
        sys.stdin = stdin
        logging.set_verbosity(max(verbosity, ERROR))  # its reminders are of what is checked here


@contextlib.contextmanager
def _without_output() -> Iterator[None]:
    """Discard what is written to standard output, by Python or by libraries in Rust, which write to the descriptor."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # standard output is closed
        kept = None
    try:
        with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
            if kept is not None:
                os.dup2(nothing.fileno(), 1)
            yield
    finally:
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def _reason(error: BaseException) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return "its weights are a pickle with other objects than tensors, which could run code: refused"
    if isinstance(error, KeyError):
        return shorten(f"a setting or part is missing or unknown: {error}", 160)
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else ""
    plain = isinstance(error, OSError | ValueError | RuntimeError) and text
    return shorten(text if plain else f"{type(error).__name__}: {text}".rstrip(": "), 160)
