"""A causal language model as it is used for scoring: the network, its tokenizer, and how many tokens it reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fidtools.compute.device import Compute
from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.loading import load_config, load_network
from fidtools.compute.positions import max_positions
from fidtools.compute.tokenizers import load_tokenizer
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
    from transformers import AutoModelForCausalLM

    compute = compute or Compute.float32()
    folder = resolve_model(name)
    with loading(name):
        config = load_config(name, folder)
        network = load_network(name, folder, AutoModelForCausalLM, config)
        tokenizer = load_tokenizer(name, folder, config, rows=network.get_input_embeddings().num_embeddings)
        with torch.inference_mode():  # a model that cannot compute is known before any work
            network(input_ids=torch.zeros(1, 1, dtype=torch.long))
    if not tokenizer.is_fast:
        raise FidtoolsError(f"{name}: this tokenizer has no character offsets", hint="a fast tokenizer is needed")
    network = network.to(device=compute.device, dtype=compute.dtype).eval().requires_grad_(False)
    return LanguageModel(network, tokenizer, _most_tokens(network, tokenizer))


def _most_tokens(network: Any, tokenizer: Any) -> int:
    limits = [
        getattr(network.config.get_text_config(), "max_position_embeddings", None),
        max_positions(network, "decoder"),
        tokenizer.model_max_length,
    ]
    return int(min(limit for limit in (*limits, UNLIMITED) if limit))
