"""One update's questions with their passages, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fidtools.compute.device import choose_device
from fidtools.retriever.examples import Example, Examples


@dataclass(frozen=True)
class Batch:
    """Questions with their passages, as token ids; a passage that several questions share is in it once.

    `slots` (q, n) holds indices into `passages`. `mask` (q, n) is true where a question has an n-th passage; `teacher`
    and `labels` have the same shape.
    """

    questions: list[list[int]]
    passages: list[list[int]]
    slots: Tensor
    mask: Tensor
    teacher: Tensor
    labels: Tensor


def make_batch(examples: Examples, items: Sequence[Example]) -> Batch:
    """The batch of these examples, in order, on the device of this process."""
    numbers, slots = np.unique(np.concatenate([item.passages for item in items]), return_inverse=True)
    width = max(len(item.passages) for item in items)
    mask = np.zeros((len(items), width), dtype=bool)
    for row, item in enumerate(items):
        mask[row, : len(item.passages)] = True

    def table(values: list[NDArray[Any]], dtype: Any) -> Tensor:
        filled = np.zeros(mask.shape, dtype=dtype)
        filled[mask] = np.concatenate(values)
        return torch.from_numpy(filled).to(choose_device())

    none = [np.zeros(len(item.passages), dtype=bool) for item in items]
    return Batch(
        questions=[examples.questions[item.question] for item in items],
        passages=[examples.passages[int(number)] for number in numbers],
        slots=table([slots], np.int64),
        mask=torch.from_numpy(mask).to(choose_device()),
        teacher=table([item.teacher for item in items], np.float32),
        labels=table([none[i] if item.labels is None else item.labels for i, item in enumerate(items)], bool),
    )
