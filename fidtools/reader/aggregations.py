"""How a passage's cross-attention becomes one score: the paper's Table 6, and what Atlas and LiT5 use, by name.

α[i, j, k, h] is the cross-attention between output token i and input token j in layer k and head h, before the
softmax. The formula printed in section 5.2 has a `max`; sections 3.2 and 5.2's prose and row 0 of Table 6 say mean.

Importing this file does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LAST_LAYERS = 6


def _mean(alpha: Tensor) -> Tensor:
    """Row 0: the mean over tokens, layers and heads, at the first output token."""
    return alpha[0].mean()


def _max_token(alpha: Tensor) -> Tensor:
    """Row 1: the maximum over tokens, then the mean over layers and heads."""
    return alpha[0].amax(0).mean()


def _mean_outputs(alpha: Tensor) -> Tensor:
    """Row 2: the mean over output tokens too."""
    return alpha.mean()


def _last_layers(alpha: Tensor) -> Tensor:
    """Row 3: the mean over the last six layers."""
    return alpha[0, :, -LAST_LAYERS:].mean()


def _max_layer(alpha: Tensor) -> Tensor:
    """Row 4: the maximum over layers, then the mean over tokens and heads."""
    return alpha[0].amax(1).mean()


def _max_head(alpha: Tensor) -> Tensor:
    """Row 5: the maximum over heads, then the mean over tokens and layers."""
    return alpha[0].amax(2).mean()


TABLE_6: dict[str, Callable[[Tensor], Tensor]] = {
    "attention": _mean,
    "attention-max-token": _max_token,
    "attention-outputs": _mean_outputs,
    "attention-last-layers": _last_layers,
    "attention-max-layer": _max_layer,
    "attention-max-head": _max_head,
}
"""Functions of one passage's α, (output tokens, input tokens, layers, heads)."""
VALUE_NORM, MASS = "attention-value-norm", "attention-mass"
AGGREGATIONS = (*TABLE_6, VALUE_NORM, MASS)
DEFAULT_AGGREGATION = "attention"
NEEDS_OUTPUT = frozenset({"attention-outputs", MASS})
"""Those that need the tokens of an answer; the others need the first output token."""
