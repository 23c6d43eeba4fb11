"""The loss of a training run: one of the registry by name, with its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fidtools.retriever.batch import Batch
from fidtools.retriever.losses import LOSSES, LossSpec


@dataclass(frozen=True)
class Loss:
    """One of `losses.LOSSES` by name, with values for the options of all of them.

    `student_mask_above` is the margin of `contrastive.more_similar_than_positive`, used in training only.
    """

    name: str = "kl"
    temperature: float = 1.0
    teacher_temperature: float = 1.0
    gamma: float = 0.2
    alpha: float = 0.5
    per_passage: bool = False
    in_batch: bool = False
    mask_above: float | None = None
    student_mask_above: float | None = None

    @property
    def spec(self) -> LossSpec:
        """The registry's entry."""
        return LOSSES[self.name]

    @property
    def needs_teacher(self) -> bool:
        """Whether the loss uses the teacher's scores; with `alpha` 1 only hard labels remain."""
        if self.mask_above is not None and "mask_above" in self.spec.defaults:
            return True
        return self.spec.needs_teacher and not ("alpha" in self.spec.defaults and self.alpha == 1)

    @property
    def needs_labels(self) -> bool:
        """Whether the loss uses hard labels; with `alpha` 0 only the teacher's remain."""
        return self.spec.needs_labels and not ("alpha" in self.spec.defaults and self.alpha == 0)

    @property
    def over_whole_batch(self) -> bool:
        """Whether an update compares a question with the passages of the whole batch."""
        return self.in_batch or self.spec.always_in_batch

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        """One value per question, (questions,), from (questions, passages)."""
        return self.spec.function(student, teacher, mask, *self._labels(labels), **self._options)

    def of_batch(self, scores: Tensor, batch: Batch) -> Tensor:
        """One value per question, (questions,), from S of all passages of the batch, (questions, passages)."""
        assert self.spec.in_batch is not None, "RetrieverRun refuses other losses"
        given = (scores, batch.slots, batch.teacher, batch.mask, *self._labels(batch.labels))
        return self.spec.in_batch(*given, **self._options)

    def _labels(self, labels: Tensor) -> tuple[Tensor, ...]:
        return (labels,) if self.spec.needs_labels else ()

    @property
    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.spec.defaults}
