"""Calibration of a student's scores before the loss: a learned scale and, for pointwise losses, a learned bias."""

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

    A pointwise loss reads a score as log-odds, but an inner product is bounded (the states of a BiLSTM lie within ±1)
    and has no bias, while nine in ten passages are irrelevant. Without calibration the vectors would have to saturate,
    or to point away from each other. Neither parameter changes a ranking, so both are dropped after training. Without
    `bias` it stays 0.
    """

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(()), requires_grad=bias)

    def forward(self, scores: Tensor, *, world_size: int = 1) -> Tensor:
        """Scores S of any shape -> calibrated scores. `world_size` ranks have this gradient; each adds its share."""
        log_scale = self.log_scale / world_size + self.log_scale.detach() * (1 - 1 / world_size)
        return scores * log_scale.exp() + self.bias

    @torch.no_grad()
    def init_from_scores(self, scores: Tensor, mean: float, std: float = 1.0) -> None:
        """Initialise so that these scores get standard deviation `std` and, with a bias, this mean.

        Equal scores keep their scale.
        """
        own = scores.std(correction=0)
        scale = std / own if own > 0 else torch.ones_like(own)
        self.log_scale.copy_(scale.log())
        if self.bias.requires_grad:
            self.bias.copy_(mean - scores.mean() * scale)


def best_constant(
    targets: Sequence[Floats], labels: Sequence[NDArray[np.bool_] | None], alpha: float, temperature: float
) -> float:
    """The constant score with the least pointwise loss (`losses.bce`); at T = 1 the log-odds of being relevant.

    Solves α (σ(b) − mean y) + (1 − α) T (σ(b/T) − mean σ(G/T)) = 0, by bisection between −20 and 20.
    """
    soft = float(np.mean(_sigmoid(np.concatenate(targets) / temperature))) if alpha < 1 else 0.0
    hard = float(np.mean(np.concatenate([row for row in labels if row is not None]))) if alpha > 0 else 0.0
    low, high = -20.0, 20.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        slope = alpha * (_sigmoid(middle) - hard) + (1 - alpha) * temperature * (_sigmoid(middle / temperature) - soft)
        low, high = (low, middle) if slope > 0 else (middle, high)
    return low


def _sigmoid(values: Any) -> Any:
    return np.exp(-np.logaddexp(0.0, -values))  # large logits do not overflow
