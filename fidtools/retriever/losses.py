"""The losses of retriever training, and the registry `LOSSES` of what each needs.

Every loss takes the student's scores S and the teacher's G, (questions, passages), with `mask` true where there is a
passage. It returns one value per question, (questions,); the loss of a training batch is the mean over its questions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fidtools.retriever.contrastive import infonce_in_batch, infonce_own_passages
from fidtools.training.ranking_losses import kl, margin, margin_mse, masked_log_softmax, mse


def similarity(questions: Tensor, passages: Tensor, *, normalized: bool = False) -> Tensor:
    """S = E(q)ᵀE(p)/√d (Izacard & Grave, section 3.3) of vectors (…, d), broadcast over the other dimensions.

    Normalized vectors are scored as if their length were √d, as a LayerNorm makes it: S = √d · cos(q, p).

    >>> similarity(torch.tensor([[1.0, 2.0, 0.0, 1.0]]), torch.tensor([[2.0, 1.0, 5.0, 0.0]]))
    tensor([2.])
    """
    root: float = questions.shape[-1] ** 0.5
    products = (questions * passages).sum(dim=-1)
    return products * root if normalized else products / root


def similarity_to_all(questions: Tensor, passages: Tensor, *, normalized: bool = False) -> Tensor:
    """`similarity` of every question (q, d) with every passage (p, d), (q, p).

    >>> similarity_to_all(torch.tensor([[1.0, 2.0, 0.0, 1.0]]), torch.tensor([[2.0, 1.0, 5.0, 0.0], [2.0, 0, 0, 0]]))
    tensor([[2., 1.]])
    """
    root: float = questions.shape[-1] ** 0.5
    products = questions @ passages.T
    return products * root if normalized else products / root


def kl_in_batch(
    scores: Tensor,
    slots: Tensor,
    teacher: Tensor,
    mask: Tensor,
    *,
    temperature: float = 1.0,
    teacher_temperature: float = 1.0,
    per_passage: bool = False,
) -> Tensor:
    """`kl`, with S̃ a softmax over all passages of the batch; those that are not the question's own have G̃(p) = 0.

    `scores` is (questions, passages of the batch); `slots` (questions, own passages) are the columns of a question's
    own passages, where `mask` is true. `per_passage` divides by the number of own passages.

    >>> slots, mask = torch.tensor([[0, 1]]), torch.tensor([[True, True]])
    >>> kl_in_batch(torch.tensor([[0.0, 0.0, 0.0]]), slots, torch.tensor([[1.0, 0.0]]), mask)
    tensor([0.5164])
    """
    log_target = masked_log_softmax(teacher, mask, teacher_temperature)
    log_student = functional.log_softmax(scores / temperature, dim=-1).gather(1, slots)
    loss = (log_target.exp() * (log_target - log_student) * mask).sum(dim=-1)
    return loss / mask.sum(dim=-1) if per_passage else loss


def margin_in_batch(scores: Tensor, slots: Tensor, teacher: Tensor, mask: Tensor, *, gamma: float = 0.2) -> Tensor:
    """`margin`, with the other passages of the batch below all of the question's own; they form no pairs of their own.

    `scores` and `slots` are those of `kl_in_batch`.

    >>> slots, mask = torch.tensor([[0, 1]]), torch.tensor([[True, True]])
    >>> margin_in_batch(torch.tensor([[1.0, 0.0, 0.0]]), slots, torch.tensor([[0.0, 1.0]]), mask)
    tensor([2.8000])
    """
    own = scores.gather(1, slots)  # (q, n)
    violation = functional.relu(gamma - (own.unsqueeze(-1) - scores.unsqueeze(-2)))  # (q, n, p)
    others = torch.zeros_like(scores, dtype=torch.int32).scatter_add(1, slots, mask.int()) == 0  # (q, p)
    against_others = (violation * (mask.unsqueeze(-1) & others.unsqueeze(-2))).sum(dim=(-2, -1))
    return margin(own, teacher, mask, gamma=gamma) + 2 * against_others


def bce(
    student: Tensor, teacher: Tensor, mask: Tensor, labels: Tensor, *, alpha: float = 0.5, temperature: float = 1.0
) -> Tensor:
    """Mean over passages of α · H(y, σ(S)) + (1 − α) · T² · H(σ(G/T), σ(S/T)), H the binary cross-entropy.

    Pointwise distillation as in Shakeri, Sethy & Cheng: hard labels y, mixed with the soft labels of a cross-encoder
    whose logits are G. T² keeps the scale of the gradient (Hinton et al., 2015). `alpha=1` trains on hard labels only,
    `alpha=0` on soft labels only.

    >>> student, labels = torch.tensor([[0.0, 0.0]]), torch.tensor([[True, False]])
    >>> bce(student, student, torch.tensor([[True, True]]), labels)
    tensor([0.6931])
    """
    cross_entropy = functional.binary_cross_entropy_with_logits
    hard = cross_entropy(student, labels.to(student.dtype), reduction="none") if alpha > 0 else 0.0
    soft: Tensor | float = 0.0
    if alpha < 1:
        target = torch.sigmoid(teacher.masked_fill(~mask, 0.0) / temperature)
        soft = cross_entropy(student / temperature, target, reduction="none") * temperature**2
    return ((alpha * hard + (1 - alpha) * soft) * mask).sum(dim=-1) / mask.sum(dim=-1)


@dataclass(frozen=True)
class LossSpec:
    """A loss and what it needs. `function` takes student, teacher, mask (and labels, if it uses them).

    `pointwise` losses score passages one by one, so that a constant added to all scores matters. A `log_odds` loss also
    reads scores as log-odds, which an inner product alone cannot express (see `calibration`). `in_batch` is the form of
    the loss over the passages of the whole batch, where there is one; evaluation is always by `function`, question by
    question. `always_in_batch` losses have no other training form.
    """

    function: Callable[..., Tensor]
    description: str
    source: str
    needs_teacher: bool = True
    needs_labels: bool = False
    pointwise: bool = False
    log_odds: bool = False
    in_batch: Callable[..., Tensor] | None = None
    always_in_batch: bool = False

    @property
    def defaults(self) -> dict[str, Any]:
        """The options of the function with their default values."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


LOSSES = {
    "kl": LossSpec(
        kl,
        "KL(G̃ ‖ S̃) of the softmax distributions over a question's passages",
        "Izacard & Grave, section 3.4",
        in_batch=kl_in_batch,
    ),
    "mse": LossSpec(
        mse, "squared difference of S and G, summed over passages", "Izacard & Grave, section 3.4", pointwise=True
    ),
    "margin": LossSpec(
        margin,
        "hinge on every pair that the teacher orders",
        "Izacard & Grave, section 3.4",
        in_batch=margin_in_batch,
    ),
    "margin-mse": LossSpec(
        margin_mse, "squared difference of the score differences of every pair", "Hofstätter et al. (2020)"
    ),
    "bce": LossSpec(
        bce,
        "binary cross-entropy with hard labels (weight α) and the teacher's sigmoid (weight 1 − α)",
        "Shakeri, Sethy & Cheng",
        needs_labels=True,
        pointwise=True,
        log_odds=True,
    ),
    "infonce": LossSpec(
        infonce_own_passages,
        "cross-entropy of a positive passage against in-batch negatives",
        "van den Oord et al. (2018), Karpukhin et al. (2020)",
        needs_teacher=False,
        needs_labels=True,
        in_batch=infonce_in_batch,
        always_in_batch=True,
    ),
}
"""Every loss by the name that `--loss` takes."""
