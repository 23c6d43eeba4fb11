"""A causal language model as it is used for scoring: the network, its tokenizer, and how many tokens it reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fidtools.compute.device import Compute
from fidtools.compute.hub import loading, resolve_model
from fidtools.errors import FidtoolsError

UNLIMITED = 1 << 20
"""Positions of a model whose configuration names no limit."""


@dataclass
class LanguageModel:
    """A causal language model ready for inference; `most_tokens` is the longest input it can read."""

    network: Any
    tokenizer: Any
    most_tokens: int


def load_language_model(name: str | Path, compute: Compute | None = None) -> LanguageModel:
    """A causal language model from a folder or a model name, on the device, all its weights in the compute's dtype.

    Raises UsageError when there is no model of that name, FidtoolsError when it cannot be loaded or its tokenizer
    cannot tell which characters a token covers.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    compute = compute or Compute.float32()
    source = resolve_model(name)
    with loading(name):
        network: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(source)
    if not tokenizer.is_fast:
        raise FidtoolsError(f"{name}: this tokenizer has no character offsets", hint="a fast tokenizer is needed")
    network = network.to(device=compute.device, dtype=compute.dtype).eval().requires_grad_(False)
    return LanguageModel(network, tokenizer, _most_tokens(network.config, tokenizer))


def _most_tokens(config: Any, tokenizer: Any) -> int:
    text_config = config.get_text_config()
    positions = getattr(text_config, "max_position_embeddings", None) or UNLIMITED
    return int(min(positions, tokenizer.model_max_length))
