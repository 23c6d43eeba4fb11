"""Whether a language model can be continued behind a cache of the keys and values of earlier tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from fidtools.errors import FidtoolsError
from fidtools.logs import log

SUPPORTED = "supported: Llama, Qwen, Gemma, GPT-2 and most others"


@torch.inference_mode()
def cached_logits(network: Any, ids: Sequence[int]) -> Tensor:
    """Logits (1, tokens, vocabulary) in float32 of a short text, whose keys and values go into a new cache.

    Raises FidtoolsError for a network that keeps something else: a recurrent state, compressed keys, or nothing.
    """
    cache, inputs = DynamicCache(), torch.tensor([ids], device=network.device)
    try:
        logits: Tensor = network(input_ids=inputs, past_key_values=cache, use_cache=True).logits
        is_kept = not getattr(network, "_is_stateful", False) and cache.get_seq_length() == len(ids)
    except FidtoolsError:
        raise
    except Exception as error:  # whatever a cache of another kind is asked for
        log.debug("%s", type(network).__name__, exc_info=error)
        is_kept = False
    if not is_kept:
        problem = f"{type(network).__name__}: keeps another state than the keys and values of earlier tokens"
        raise FidtoolsError(problem, hint=SUPPORTED)
    return logits.float()
