"""The losses that compare a question's scores with a teacher's, passage by passage or pair by pair.

Every loss takes the student's scores S and the teacher's G, (questions, passages), with `mask` true where there is a
passage. It returns one value per question, (questions,).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def masked_log_softmax(scores: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """log softmax(scores / temperature) over each question's passages, (questions, passages); 0 where there is none."""
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

    Izacard & Grave, section 3.4. `per_passage` also divides by the number of passages, as the reference implementation
    does (its `KLDivLoss` averages over passages). Adam is nearly invariant to this factor; gradient clipping and weight
    decay are not.

    >>> kl(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([[True, True]]))
    tensor([0.1109])
    """
    log_target = masked_log_softmax(teacher, mask, teacher_temperature)
    log_student = masked_log_softmax(student, mask, temperature)
    loss = (log_target.exp() * (log_target - log_student) * mask).sum(dim=-1)
    return loss / mask.sum(dim=-1) if per_passage else loss


def mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Σ_p (S(p) − G(p))². Izacard & Grave, section 3.4, after Dehghani et al. (2017).

    >>> mse(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0]]), torch.tensor([[True, True]]))
    tensor([5.])
    """
    return ((student - teacher) * mask).square().sum(dim=-1)


def _pairs(mask: Tensor) -> Tensor:
    return mask.unsqueeze(-1) & mask.unsqueeze(-2)  # (q, p, p)


def _differences(scores: Tensor) -> Tensor:
    return scores.unsqueeze(-1) - scores.unsqueeze(-2)  # [q, i, j] = scores[q, i] - scores[q, j]


def margin(student: Tensor, teacher: Tensor, mask: Tensor, *, gamma: float = 0.2) -> Tensor:
    """Σ_{p1,p2} max(0, γ − sign(G(p1) − G(p2)) · (S(p1) − S(p2))). Izacard & Grave, section 3.4.

    The sum is over ordered pairs, as in the paper, so every pair counts twice. Pairs with equal teacher scores (such as
    a passage with itself) would only add the constant γ and are left out.

    >>> margin(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[True, True]]))
    tensor([2.4000])
    """
    order = _differences(teacher).sign()
    violation = functional.relu(gamma - order * _differences(student))
    return (violation * (_pairs(mask) & (order != 0))).sum(dim=(-2, -1))


def margin_mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean over pairs p1 ≠ p2 of ((S(p1) − S(p2)) − (G(p1) − G(p2)))². Hofstätter et al. (2020), over all pairs.

    >>> margin_mse(torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([[True, True]]))
    tensor([1.])
    """
    error = (_differences(student) - _differences(teacher)).square() * _pairs(mask)
    n = mask.sum(dim=-1)
    return error.sum(dim=(-2, -1)) / (n * (n - 1)).clamp(min=1)
