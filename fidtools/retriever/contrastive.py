"""Contrastive losses of retriever training (InfoNCE), and which passages they leave out as negatives.

The arguments are those of the losses in `losses`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def infonce(scores: Tensor, positive: Tensor, excluded: Tensor, *, temperature: float = 1.0) -> Tensor:
    """−log softmax(S / T)[positive] over all passages of the batch: supervised contrastive learning.

    `scores` is (questions, passages of the batch) and `positive` (questions,) the column of each question's positive
    passage. `excluded` is true for columns that are not negatives of that question: its other positives, and other
    copies of the same passage. van den Oord et al. (2018); in-batch negatives as in Karpukhin et al. (2020).

    >>> infonce(torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([0]), torch.tensor([[False, False, True]]))
    tensor([0.6931])
    """
    allowed = (scores / temperature).masked_fill(excluded, -torch.inf)
    return functional.cross_entropy(allowed, positive, reduction="none")


def false_negatives(teacher: Tensor, mask: Tensor, labels: Tensor, margin: float | None) -> Tensor:
    """Which passages, (questions, passages), are no negatives: irrelevant, but G(p) > G(positive) + margin.

    The positive is the question's first one. With None there are none. Qwen3-Embedding (Zhang et al., 2025) masks
    negatives so, with margin 0.1 and its own cosines in place of a teacher's scores.

    >>> labels = torch.tensor([[True, False, False]])
    >>> false_negatives(torch.tensor([[1.0, 1.1, 1.2]]), torch.ones_like(labels), labels, 0.15)
    tensor([[False, False,  True]])
    """
    if margin is None:
        return torch.zeros_like(mask)
    positive = teacher.gather(1, labels.int().argmax(dim=1, keepdim=True))  # (q, 1)
    return mask & ~labels & (teacher > positive + margin)


def more_similar_than_positive(products: Tensor, slots: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Which passages of the batch, (questions, passages), the student places above the positive by `margin`.

    `products` (questions, passages of the batch) are the student's own inner products, or cosines; `slots` and `labels`
    are those of `infonce_in_batch`. The positive is the question's first one, and never above itself. With the margin
    −m this is the absolute margin m of GISTEmbed (Solatorio, 2024), guided by the student itself.

    >>> products, slots = torch.tensor([[0.5, 0.55, 0.9, 0.7]]), torch.tensor([[0, 1]])
    >>> more_similar_than_positive(products, slots, torch.tensor([[True, False]]), 0.1)
    tensor([[False, False,  True,  True]])
    """
    column = slots.gather(1, labels.int().argmax(dim=1, keepdim=True))  # (q, 1)
    return (products > products.gather(1, column) + margin).scatter(1, column, False)


def infonce_own_passages(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    labels: Tensor,
    *,
    temperature: float = 1.0,
    mask_above: float | None = None,
) -> Tensor:
    """InfoNCE of each question's first positive passage among its own passages only.

    Without the `false_negatives` at the margin `mask_above`, for which alone the teacher is used.

    >>> labels = torch.tensor([[True, True, False]])
    >>> infonce_own_passages(torch.zeros(1, 3), torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool), labels)
    tensor([0.6931])
    """
    first = labels.int().argmax(dim=1)
    columns = torch.arange(student.shape[1], device=student.device)
    excluded = ~mask | (labels & (columns != first[:, None])) | false_negatives(teacher, mask, labels, mask_above)
    return infonce(student, first, excluded, temperature=temperature)


def infonce_in_batch(
    scores: Tensor,
    slots: Tensor,
    teacher: Tensor,
    mask: Tensor,
    labels: Tensor,
    *,
    temperature: float = 1.0,
    mask_above: float | None = None,
) -> Tensor:
    """InfoNCE of each question's first positive passage among all of the batch but its other positives.

    Also without the `false_negatives` among its own passages, for which alone the teacher is used: it has not scored
    the other questions' passages for this one. `scores` and `slots` are those of `kl_in_batch`.

    >>> labels = torch.tensor([[True, True]])
    >>> infonce_in_batch(torch.zeros(1, 3), torch.tensor([[0, 1]]), torch.zeros(1, 2), labels, labels)
    tensor([0.6931])
    """
    positive = slots.gather(1, labels.int().argmax(dim=1, keepdim=True))  # (q, 1)
    left_out = labels | false_negatives(teacher, mask, labels, mask_above)
    none = torch.zeros(scores.shape, dtype=torch.int32, device=scores.device)
    excluded = none.scatter_add(1, slots, left_out.int()) > 0
    excluded.scatter_(1, positive, False)
    return infonce(scores, positive.squeeze(1), excluded, temperature=temperature)
