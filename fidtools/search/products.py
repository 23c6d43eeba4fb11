"""Approximate inner products of questions with a stretch of passages, with a proven bound on their error.

Let x be a passage, q a question, c any fixed vector. Ranking by q·(x - c) is ranking by q·x, and what is left of x
after the corpus's mean c is small where embeddings have a common part. With q̃, x̃ the rounded q and x - c, and s̃ what
the matrix product returns, Cauchy-Schwarz gives

    |s̃ - q·(x - c)| ≤ |q|·|x - c - x̃| + |q - q̃|·|x̃|        rounding the factors (measured, not estimated)
                     + d·2⁻²²·|q̃|·|x̃|                       summing in float32, in any order
                     + 2⁻⁸·|s̃|                              rounding the result (bf16 only)
                     + 2⁻²²·|q|·|x|                         rounding x - c, and the final score to float32

All but the third line, which depends on s̃, is the `margin`. With the largest norms of a stretch it holds for every
passage in it; with a passage's own norms it is tight even beside a passage a thousand times as long.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from fidtools.errors import DataError

Product = Literal["bf16", "float32"]
SUMMATION_ERROR = 2.0**-22  # relative; four times float32's rounding: accelerators add less carefully than IEEE asks
BF16_ROUNDING = 2.0**-8  # relative; bf16 keeps 8 bits of a number
NORM_ROUNDING = 1 + 1e-5  # norms are computed in float32 too; enlarged by this they are upper bounds
NORM_UNDERFLOW = 2.0**-63  # absolute, of each number: the square of a smaller one may be rounded to zero
UNDERFLOW = 1e-35  # absolute; products of tiny numbers may be rounded to zero
MIN_QUESTIONS_ONEDNN = 16  # for fewer, oneDNN's preparations cost more than its product saves
GROUP_SIZE = 16  # passages whose maximum is compared at once: 16 times fewer comparisons, and few groups are opened
MAX_NORM = 1e18  # the product of two norms must not overflow float32, which ends at 3.4e38


@dataclass(frozen=True)
class RoundedQuestions:
    """Questions in the precision of a product (m × d), and what the error bound needs of them (m each).

    `norm` is at least |q|, `lost` at least |q - q̃|; `result_rounding` is the relative error of a product's result.
    """

    values: Tensor
    norm: Tensor
    lost: Tensor
    result_rounding: float

    @classmethod
    def of(cls, questions: Tensor, product: Product) -> RoundedQuestions:
        """From float32 questions (m × d)."""
        values = questions.bfloat16() if product == "bf16" else questions
        lost = torch.linalg.vector_norm(questions - values.float(), dim=1)
        norm = torch.linalg.vector_norm(questions, dim=1)
        upper_bounds(norm, questions.shape[1])
        upper_bounds(lost, questions.shape[1])
        return cls(values, norm, lost, BF16_ROUNDING if product == "bf16" else 0.0)

    def margin(self, passages: PassageNorms) -> Tensor:
        """The part of the error bound that does not depend on the score, for every question and passage (m × …)."""
        return self._margin(self.norm[:, None], self.lost[:, None], passages)

    def margin_of_pairs(self, question: Tensor, passages: PassageNorms) -> Tensor:
        """The same for pairs of a question and a passage, given as tensors of one length."""
        return self._margin(self.norm[question], self.lost[question], passages)

    def _margin(self, norm: Tensor, lost: Tensor, passages: PassageNorms) -> Tensor:
        summing = self.values.shape[1] * SUMMATION_ERROR
        # |q̃| ≤ |q| + |q - q̃|, which distributes the term of the summation over both lines.
        by_norm = passages.lost + summing * passages.rounded + SUMMATION_ERROR * passages.original
        return norm * by_norm + lost * ((1 + summing) * passages.rounded) + UNDERFLOW

    def lowest_possible(self, threshold: Tensor, margin: Tensor) -> Tensor:
        """The product below which no true score can reach `threshold` (all m).

        That is s where s + margin + result_rounding·|s| = threshold. The sign of s is the sign of threshold - margin,
        which gives the two cases. The last term covers the rounding of this computation itself.
        """
        rest = threshold - margin
        solved = torch.where(rest > 0, rest / (1 + self.result_rounding), rest / (1 - self.result_rounding))
        return solved - 1e-6 * (threshold.abs() + margin)


class PassageNorms(NamedTuple):
    """What the error bound needs of passages: upper bounds on |x̃|, |x - c - x̃| and |x|."""

    rounded: Tensor
    lost: Tensor
    original: Tensor

    def largest(self) -> PassageNorms:
        """One set of norms that holds for all passages (1)."""
        return PassageNorms(*(part.max()[None] for part in self))

    def largest_of_groups(self, size: int) -> PassageNorms:
        """For each group of `size` passages, as in `group_maxima`, norms that hold for all of it (B / size)."""
        return PassageNorms(*(part.view(size, -1).amax(0) for part in self))

    def of(self, columns: Tensor) -> PassageNorms:
        """Those of some passages, in the shape of `columns`."""
        return PassageNorms(*(part[columns] for part in self))


@dataclass(frozen=True)
class Stretch:
    """Consecutive passages: the row of the first, how many they are, and their products with all questions.

    `scores` (m × B, contiguous) and `norms` (B each) are padded to B, a multiple of GROUP_SIZE.
    """

    start: int
    rows: int
    scores: Tensor
    norms: PassageNorms


def multiply(questions: Tensor, passages: Tensor, out: Tensor) -> Tensor:
    """Inner products of all questions and passages (m × B), in `out` where the fastest way allows it.

    Float32 on a CPU goes through oneDNN, which is twice as fast as MKL on AMD's processors.
    """
    linear = _onednn_linear()
    on_cpu = passages.dtype is torch.float32 and passages.device.type == "cpu"
    if on_cpu and len(questions) >= MIN_QUESTIONS_ONEDNN and linear:
        product: Tensor = linear(questions, passages, None, "none", [], "")
        return product
    return torch.mm(questions, passages.T, out=out)


@functools.cache
def _onednn_linear() -> Any:
    """PyTorch's own way to oneDNN's float32 product, which its compiler uses; None where it was built without."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def group_maxima(scores: Tensor, size: int, lowest: Tensor | None = None) -> Tensor:
    """The largest score of every group of `size` passages (m × B / size), in float32.

    Passage i belongs to group i mod (B / size), so that the maxima are elementwise ones of `size` contiguous stretches,
    which vectorise. With `lowest` (m), the score from which on scores matter, a group that is all below it may get any
    of its scores: where no `lowest` is negative, scores are then compared as the integers of their bits. Those order
    non-negative floats as the floats themselves, and are compared in a fraction of the time.
    """
    grouped = scores.view(len(scores), size, -1)
    if lowest is None or bool((lowest <= 0).any()):
        return grouped.amax(1).float()
    integers = torch.int16 if scores.dtype is torch.bfloat16 else torch.int32
    return grouped.view(integers).amax(1).view(scores.dtype).float()


def upper_bounds(norms: Tensor, dim: int) -> None:
    """Enlarge norms of vectors of `dim` numbers, as computed in float32, to upper bounds on the true ones."""
    norms *= NORM_ROUNDING
    norms += NORM_UNDERFLOW * math.sqrt(dim)


def check_finite(norms: Tensor, what: str, first: int = 0) -> None:
    """Raise DataError for the first vector whose norm is not a number below 10¹⁸."""
    bad = (~(norms < MAX_NORM)).nonzero()[:, 0]  # a comparison with NaN is false, so NaN is found too
    if len(bad):
        problem = "vectors with NaN, infinite or huge numbers cannot be searched"
        raise DataError(problem, field=what, value=first + int(bad[0]))
