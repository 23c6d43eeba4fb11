"""What the training loop needs to know of what it trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from fidtools.training.order import ExampleRef


class Objective(Protocol):
    """What is trained, on what, and how well it does."""

    module: torch.nn.Module
    """Its forward takes a micro-batch and returns the SUM of the examples' losses, a scalar."""
    n_examples: int
    metric: str
    """The key of `evaluate()` by which the best model is chosen; larger is better."""

    def order(self, seed: int, epoch: int) -> Sequence[int]:
        """The indices of all examples in the order in which an epoch draws them; a function of its arguments."""

    def loss_denominator(self, refs: Sequence[ExampleRef]) -> float:
        """What the summed loss of one update's examples, over all ranks, is divided by."""

    def micro_batches(self, refs: Sequence[ExampleRef]) -> Iterator[Any]:
        """The examples as inputs of `module`, in micro-batches that fit into memory."""

    def evaluate(self) -> dict[str, float]:
        """The metrics on the whole dev set, equal on every rank; empty without a dev set."""

    def save(self, folder: Path) -> None:
        """Write the model in its public format into an existing folder."""
