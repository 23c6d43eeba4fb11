"""From a student's scores to those that its loss judges: a scale, and for pointwise losses a bias, learned with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fidtools.typing import Floats


class Calibration(nn.Module):
    """s · S + b with s > 0 (Platt, 1999; learned with the encoders as in SigLIP: Zhai et al., 2023).

    An inner product of vectors cannot have any value: a BiLSTM's states lie within ±1, which bounds it, and it has no
    bias, though a pointwise loss reads it as log-odds and nine in ten passages are irrelevant. Without these two the
    vectors are spent on saturating, or on pointing away from each other. Neither ranks anything: they are let go after
    training. Without `bias` it stays 0.
    """

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(()), requires_grad=bias)

    def forward(self, scores: Tensor, *, world_size: int = 1) -> Tensor:
        """S of any shape -> what is judged. Each of `world_size` ranks with this gradient takes its part of it."""
        log_scale = self.log_scale / world_size + self.log_scale.detach() * (1 - 1 / world_size)
        return scores * log_scale.exp() + self.bias

    @torch.no_grad()
    def begin(self, scores: Tensor, centre: float, spread: float = 1.0) -> None:
        """Start where these scores have this standard deviation and, with a bias, this mean; equal ones keep theirs."""
        own = scores.std(correction=0)
        scale = spread / own if own > 0 else torch.ones_like(own)
        self.log_scale.copy_(scale.log())
        if self.bias.requires_grad:
            self.bias.copy_(centre - scores.mean() * scale)


def best_constant(
    targets: Sequence[Floats], labels: Sequence[NDArray[np.bool_] | None], alpha: float, temperature: float
) -> float:
    """The score that, given to every passage, has the least pointwise loss (`losses.bce`); at T = 1 the log-odds.

    It solves α (σ(b) − mean y) + (1 − α) T (σ(b/T) − mean σ(G/T)) = 0, by bisection between −20 and 20.
    """
    soft = float(np.mean(_sigmoid(np.concatenate(targets) / temperature))) if alpha < 1 else 0.0
    hard = float(np.mean(np.concatenate([row for row in labels if row is not None]))) if alpha > 0 else 0.0
    low, high = -20.0, 20.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        rising = alpha * (_sigmoid(middle) - hard) + (1 - alpha) * temperature * (_sigmoid(middle / temperature) - soft)
        low, high = (low, middle) if rising > 0 else (middle, high)
    return low


def _sigmoid(values: Any) -> Any:
    return np.exp(-np.logaddexp(0.0, -values))  # which large logits do not overflow
