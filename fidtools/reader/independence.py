"""Trials of an encoder–decoder: whether what it computes depends on the batch, or on what it should not know yet."""

from __future__ import annotations

import torch
from torch import Tensor

from fidtools.compute.batching import PADDING_TOLERANCE, check_padding
from fidtools.errors import UsageError
from fidtools.reader.fusion import Fusion

SUPPORTED = "supported: T5, BART, mBART, T5Gemma, T5Gemma 2 and most others"
LEAST_WIDTH = 9
"""Tokens of the longest text that is tried."""


@torch.inference_mode()
def check_independence(name: object, fusion: Fusion, rows: int) -> None:
    """Try a model of `rows` tokens that is about to read.

    Raises UsageError when its encodings depend on padding (BigBird-Pegasus, whose encoder takes no mask of the kind
    that is given here), or when its decoder sees the tokens that it should predict (ProphetNet).
    """

    def first_states(ids: Tensor, mask: Tensor) -> Tensor:
        states: Tensor = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return states[:, :3]

    encoder = fusion.eval().model.get_encoder()
    if (fusion.max_input or LEAST_WIDTH) >= LEAST_WIDTH:
        check_padding(name, first_states, fusion.pad, rows, SUPPORTED)
    output = [token % rows for token in (4, 5, 6)]
    (fused,) = fusion.fuse([[output]])
    short, long = (fusion.logits([fused], [output[:n]])[0, :2] for n in (2, 3))
    if (short - long).abs().max() > PADDING_TOLERANCE * short.abs().max():
        raise UsageError(f"{name}: its decoder sees the tokens of an answer that it should predict", hint=SUPPORTED)
