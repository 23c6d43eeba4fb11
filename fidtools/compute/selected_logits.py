"""Logits of a language model at some positions only: the vocabulary's product is a large part of its work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

from torch import Tensor


@contextlib.contextmanager
def logits_only_at(model: Any, places: Tensor) -> Iterator[None]:
    """Let the model compute logits for these positions of the flattened batch only, as (1, positions, vocabulary).

    The hook leaves whatever the model does to its logits afterwards (scaling, soft capping) in place.
    """

    def keep(module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0].flatten(0, 1)[places][None], *inputs[1:])

    hook = cast(Any, model.get_output_embeddings()).register_forward_pre_hook(keep)
    try:
        yield
    finally:
        hook.remove()
