"""Model names: a folder, a name on the Hugging Face hub, or a model bundled in a package."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from fidtools.compute.bundled import BUNDLED
from fidtools.errors import FidtoolsError, UsageError, shorten

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def resolve_model(name: str | Path) -> str:
    """What `from_pretrained` can load: a folder's path, a hub name as it is, or the folder inside a package.

    `minilm` is all-MiniLM-L6-v2 and `smollm` SmolLM2-135M-Instruct, each from a package. A folder of the same name
    takes precedence.

    Raises UsageError when the folder does not exist and the name is no valid hub name, or the folder holds no model.
    """
    folder, text = Path(name), str(name)
    if folder.is_dir():
        if not any((folder / file).exists() for file in ("config.json", "modules.json")):
            hint = "give a folder written by train-reader, train-retriever or save_pretrained"
            raise UsageError(f"{folder}: not a model folder: it has no config.json", hint=hint)
        return text
    if folder.exists():
        raise UsageError(f"{folder}: a model must be a folder, this is a file")
    if text in BUNDLED:
        return str(BUNDLED[text]())
    if not HUB_NAME.fullmatch(text) or text.startswith("."):
        raise UsageError(f"{shorten(text)}: no such model folder")
    return text


@contextlib.contextmanager
def loading(name: str | Path) -> Iterator[None]:
    """Turn errors of the libraries inside the block, where a model is loaded, into one FidtoolsError."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = shorten(str(error).strip().splitlines()[0] if str(error).strip() else repr(error), 160)
        hint = None if Path(name).exists() else "without network access, give a folder that holds the model"
        raise FidtoolsError(f"{name}: cannot load the model: {reason}", hint=hint) from error
    finally:
        logging.set_verbosity(verbosity)


def is_causal(name: str | Path) -> bool:
    """Whether the model of that name is a causal language model rather than an encoder–decoder."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    with loading(name):
        config = AutoConfig.from_pretrained(resolve_model(name))
    return not config.is_encoder_decoder and config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
