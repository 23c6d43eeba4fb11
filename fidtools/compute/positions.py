"""How a model knows where a token stands: how many positions it has, and whether they can be given to it."""

from __future__ import annotations

import inspect
from typing import Any

import torch

ROPE_BY_LENGTH = {"dynamic", "longrope"}
LEARNED = ("embed_positions", "position_embeddings")
"""How the names of layers end that have a vector for each position."""


def max_positions(model: Any, side: str = "encoder") -> int | None:
    """The most tokens that an encoder or a decoder has positions for; None where it has no limit.

    RoBERTa and its kin start their positions after the padding token's.
    """
    limits = [getattr(model.config, f"max_{part}position_embeddings", None) for part in ("", f"{side}_")]
    for path, module in model.named_modules():
        if path.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            skipped = 0 if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - skipped)
    known = [limit for limit in limits if isinstance(limit, int) and limit > 0]
    return min(known, default=None)


def counts_positions(model: Any) -> bool:
    """Whether a model counts positions itself: padding as well (BART's decoder), or from a padding id (RoBERTa)."""
    embeddings = [module for name, module in model.named_modules() if name.endswith(LEARNED)]
    if embeddings and "position_ids" not in inspect.signature(model.forward).parameters:
        return True
    learned = [module for name, module in model.named_modules() if name.endswith("position_embeddings")]
    return any(getattr(module, "padding_idx", None) is not None for module in learned)


def varies_with_length(config: Any) -> bool:
    """Whether a position means another angle in a longer text."""
    return any(kind.get("rope_type") in ROPE_BY_LENGTH for kind in _rotary(config))


def positions_of_one_meaning(config: Any) -> int | None:
    """The longest text up to which a position always means the same angle, where that changes behind it (LongRoPE)."""
    named = [config.__dict__, *_rotary(config)] if varies_with_length(config) else []
    limits = [part.get("original_max_position_embeddings") for part in named]
    return min((limit for limit in limits if limit), default=None)


def _rotary(config: Any) -> list[dict[str, Any]]:
    rope = getattr(config, "rope_parameters", None) or {}
    return [rope, *(part for part in rope.values() if isinstance(part, dict))]  # one for each kind of layer
