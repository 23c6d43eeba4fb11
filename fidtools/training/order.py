"""Which examples an update sees: a function of its number, so that a stopped run continues where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ExampleRef:
    """One example at one position of the endless stream: its index, and the epoch, which seeds random choices."""

    index: int
    epoch: int


def examples_of_step(n_examples: int, batch: int, step: int, order: Callable[[int], Sequence[int]]) -> list[ExampleRef]:
    """The examples of update `step` (from 0): consecutive positions in an endless chain of epochs.

    `order` gives the indices of all examples in the order of an epoch.
    """
    positions = range(step * batch, (step + 1) * batch)
    orders = {epoch: order(epoch) for epoch in {position // n_examples for position in positions}}
    return [ExampleRef(orders[p // n_examples][p % n_examples], p // n_examples) for p in positions]


def shuffled(n_examples: int, seed: int, epoch: int) -> list[int]:
    """The indices of all examples in the seeded order of an epoch."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % (1 << 63))
    order: list[int] = torch.randperm(n_examples, generator=generator).tolist()
    return order
