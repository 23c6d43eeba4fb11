"""From cross-attention to one score a passage: the paper's section 5.2 (Table 6), and Atlas's value-norm weighting.

α[i, j, k, h] is the cross-attention between output token i and input token j in layer k and head h, before the
softmax. The formula printed in section 5.2 has a `max`; sections 3.2 and 5.2's prose and row 0 of Table 6 say mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fidtools.reader.attention import Layer, recording
from fidtools.reader.fusion import Fusion

LAST_LAYERS = 6


def _mean(alpha: Tensor) -> Tensor:
    """Row 0: the mean over tokens, layers and heads, at the first output token."""
    return alpha[0].mean()


def _max_token(alpha: Tensor) -> Tensor:
    """Row 1: the greatest token, then the mean over layers and heads."""
    return alpha[0].amax(0).mean()


def _mean_outputs(alpha: Tensor) -> Tensor:
    """Row 2: the mean over output tokens too."""
    return alpha.mean()


def _last_layers(alpha: Tensor) -> Tensor:
    """Row 3: the mean over the last six layers."""
    return alpha[0, :, -LAST_LAYERS:].mean()


def _max_layer(alpha: Tensor) -> Tensor:
    """Row 4: the greatest layer, then the mean over tokens and heads."""
    return alpha[0].amax(1).mean()


def _max_head(alpha: Tensor) -> Tensor:
    """Row 5: the greatest head, then the mean over tokens and layers."""
    return alpha[0].amax(2).mean()


ROWS: dict[str, Callable[[Tensor], Tensor]] = {
    "attention": _mean,
    "attention-max-token": _max_token,
    "attention-outputs": _mean_outputs,
    "attention-last-layers": _last_layers,
    "attention-max-layer": _max_layer,
    "attention-max-head": _max_head,
}
VALUE_NORM = "attention-value-norm"
NEEDS_OUTPUT = "attention-outputs"
NAMES = (*ROWS, VALUE_NORM)
FIRST = NAMES[0]


def fused_scores(
    fusion: Fusion,
    fused: Tensor,
    lengths: Sequence[int],
    names: Sequence[str] = (FIRST,),
    output: Sequence[int] = (),
) -> dict[str, list[float]]:
    """Named scores of one question's passages, of `lengths` tokens each in `fused` (tokens, d): one decoder pass.

    `output` forces the tokens of an answer; without it the decoder makes its first step only.
    """
    with recording(fusion.taps) as layers:
        fusion.decode([fused], torch.tensor([[fusion.start, *output[:-1]]], device=fused.device))
    return passage_scores(layers, lengths, names)


def passage_scores(layers: Sequence[Layer], lengths: Sequence[int], names: Sequence[str]) -> dict[str, list[float]]:
    """Named scores of each passage of one question, from a recorded pass over it alone.

    `lengths` are the tokens of its passages, in the order in which they were fused.
    `attention-value-norm` is the mean over tokens, layers and heads of softmax(α)·‖v‖ at the first output token
    (Izacard et al., Atlas, section 2.2).
    """
    alpha = torch.cat([layer.scores for layer in layers]).permute(2, 3, 0, 1)  # (i, j, layers, heads)
    parts = torch.split(alpha, list(lengths), dim=1)
    scores = {name: [float(ROWS[name](part)) for part in parts] for name in names if name in ROWS}
    if VALUE_NORM in names:
        norms = torch.cat([layer.values.float().norm(dim=-1) for layer in layers]).permute(
            2, 0, 1
        )  # (j, layers, heads)
        weighted = torch.split(alpha[0].softmax(0) * norms, list(lengths))
        scores[VALUE_NORM] = [float(part.mean()) for part in weighted]
    return scores
