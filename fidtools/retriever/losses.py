"""One loss over (question, passages, teacher scores), in several forms.

Every function takes the student's scores S and the teacher's G, (questions, passages), with `mask` true where there is
a passage, and returns one loss per question, (questions,); a training batch's loss is their mean over its questions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LOSSES = ("kl", "mse", "margin", "margin-mse", "bce", "infonce")


def similarity(questions: Tensor, passages: Tensor, *, normalized: bool = False) -> Tensor:
    """S = E(q)ᵀE(p)/√d (section 3.3) of vectors (…, d), broadcast over the rest.

    Vectors of length one stand for vectors of length √d, as a LayerNorm makes them: S = √d · cos(q, p).

    >>> similarity(torch.tensor([[1.0, 2.0, 0.0, 1.0]]), torch.tensor([[2.0, 1.0, 5.0, 0.0]]))
    tensor([2.])
    """
    root: float = questions.shape[-1] ** 0.5
    products = (questions * passages).sum(dim=-1)
    return products * root if normalized else products / root


def masked_log_softmax(scores: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """log softmax(scores / temperature) over each question's real passages; 0 on the others."""
    log = functional.log_softmax((scores / temperature).masked_fill(~mask, -torch.inf), dim=-1)
    return log.masked_fill(~mask, 0.0)


def kl(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    *,
    temperature: float = 1.0,
    teacher_temperature: float = 1.0,
    per_passage: bool = False,
) -> Tensor:
    """Σ_p G̃(p) · (log G̃(p) − log S̃(p)), with G̃ = softmax(G / teacher_temperature), S̃ = softmax(S / temperature).

    Izacard & Grave, section 3.4. `per_passage` divides by the number of passages too, as the reference does (its
    `KLDivLoss` averages over passages); Adam hardly notices, gradient clipping and weight decay do.

    >>> kl(torch.zeros(1, 2), torch.tensor([[0.0, 0.0]]), torch.ones(1, 2, dtype=torch.bool))
    tensor([0.])
    """
    log_target = masked_log_softmax(teacher, mask, teacher_temperature)
    log_student = masked_log_softmax(student, mask, temperature)
    loss = (log_target.exp() * (log_target - log_student) * mask).sum(dim=-1)
    return loss / mask.sum(dim=-1) if per_passage else loss


def mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Σ_p (S(p) − G(p))². Izacard & Grave, section 3.4, after Dehghani et al. (2017)."""
    return ((student - teacher) * mask).square().sum(dim=-1)


def _pairs(mask: Tensor) -> Tensor:
    return mask.unsqueeze(-1) & mask.unsqueeze(-2)  # (q, p, p)


def _differences(scores: Tensor) -> Tensor:
    return scores.unsqueeze(-1) - scores.unsqueeze(-2)  # [q, i, j] = scores[q, i] - scores[q, j]


def margin(student: Tensor, teacher: Tensor, mask: Tensor, *, gamma: float = 0.2) -> Tensor:
    """Σ_{p1,p2} max(0, γ − sign(G(p1) − G(p2)) · (S(p1) − S(p2))). Izacard & Grave, section 3.4.

    The sum is over ordered pairs, as printed: a pair counts twice. Pairs that the teacher ties, a passage with itself
    among them, would only add the constant γ; they are left out.
    """
    order = _differences(teacher).sign()
    violation = functional.relu(gamma - order * _differences(student))
    return (violation * (_pairs(mask) & (order != 0))).sum(dim=(-2, -1))


def margin_mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean over pairs p1 ≠ p2 of ((S(p1) − S(p2)) − (G(p1) − G(p2)))². Hofstätter et al. (2020), over all pairs."""
    wrong = (_differences(student) - _differences(teacher)).square() * _pairs(mask)
    n = mask.sum(dim=-1)
    return wrong.sum(dim=(-2, -1)) / (n * (n - 1)).clamp(min=1)


def bce(
    student: Tensor, teacher: Tensor, mask: Tensor, labels: Tensor, *, alpha: float = 0.5, temperature: float = 1.0
) -> Tensor:
    """Mean over passages of α · H(y, σ(S)) + (1 − α) · T² · H(σ(G/T), σ(S/T)), H the binary cross-entropy.

    Pointwise distillation as in Shakeri, Sethy & Cheng: hard labels y mixed with the soft ones of a teacher that reads
    both texts together (G are its logits); T² keeps the gradient's size (Hinton et al., 2015). `alpha=1` is training
    on hard labels alone, `alpha=0` on soft ones alone.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits
    hard = cross_entropy(student, labels.to(student.dtype), reduction="none") if alpha > 0 else 0.0
    soft: Tensor | float = 0.0
    if alpha < 1:
        target = torch.sigmoid(teacher.masked_fill(~mask, 0.0) / temperature)
        soft = cross_entropy(student / temperature, target, reduction="none") * temperature**2
    return ((alpha * hard + (1 - alpha) * soft) * mask).sum(dim=-1) / mask.sum(dim=-1)


def infonce(scores: Tensor, positive: Tensor, excluded: Tensor, *, temperature: float = 1.0) -> Tensor:
    """−log softmax(S / T)[positive] over the passages of the whole batch: the supervised comparison.

    `scores` is (questions, all passages of the batch), `positive` (questions,) the column of each question's positive
    passage; `excluded` is true on columns that are no negatives of that question: its other positives, the same
    passage met again. van den Oord et al. (2018); in-batch negatives as in Karpukhin et al. (2020).
    """
    allowed = (scores / temperature).masked_fill(excluded, -torch.inf)
    return functional.cross_entropy(allowed, positive, reduction="none")
