"""Approximate inner products of questions with a block of passages, with a proven bound on their error.

Let x be a passage, q a question, c any fixed vector. Ranking by q·(x - c) is ranking by q·x, and what is left of x
after the corpus's mean c is small where embeddings have a common part. With q̃, x̃ the rounded q and x - c, and s̃ what
the matrix product returns, Cauchy-Schwarz gives

    |s̃ - q·(x - c)| ≤ |q|·|x - c - x̃| + |q - q̃|·|x̃|        rounding the factors (measured, not estimated)
                     + d·2⁻²²·|q̃|·|x̃|                       summing in float32, in any order
                     + 2⁻⁸·|s̃|                              rounding the result (bf16 only)
                     + 2⁻²²·|q|·|x|                         rounding x - c, and the final score to float32

All but the third line (which depends on s̃) is `slack`; with the largest norms of a block it holds for every passage in
it, with a passage's own norms it is tight even beside a passage a thousand times as long.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from fidtools.errors import DataError
from fidtools.typing import Array

Product = Literal["bf16", "float32"]
SUMMING = 2.0**-22  # four times float32's rounding: accelerators add less carefully than IEEE asks
BF16_ROUNDING = 2.0**-8
WIDE = 16  # questions from which on a matrix product is worth oneDNN's preparations
LARGEST_NORM = 1e18  # so that no product of two norms overflows


@dataclass(frozen=True)
class Factors:
    """Questions made ready for one kind of product: m × d in its precision, and the norms the bound needs (m each)."""

    values: Tensor
    norm: Tensor
    lost: Tensor
    rounding: float

    @classmethod
    def of(cls, questions: Tensor, product: Product) -> Factors:
        """From float32 questions (m × d)."""
        values = questions.bfloat16() if product == "bf16" else questions
        lost = torch.linalg.vector_norm(questions - values.float(), dim=1)
        norm = torch.linalg.vector_norm(questions, dim=1)
        return cls(values, norm * (1 + 1e-5), lost * (1 + 1e-5), BF16_ROUNDING if product == "bf16" else 0.0)

    def slack(self, sizes: Sizes) -> Tensor:
        """The part of the error bound that does not depend on the score, for every question with every size (m × …)."""
        return self._slack(self.norm[:, None], self.lost[:, None], sizes)

    def slack_of(self, question: Tensor, sizes: Sizes) -> Tensor:
        """The same for pairs of a question and a passage (one line of each)."""
        return self._slack(self.norm[question], self.lost[question], sizes)

    def _slack(self, norm: Tensor, lost: Tensor, sizes: Sizes) -> Tensor:
        summing = self.values.shape[1] * SUMMING
        by_norm = sizes.lost + summing * sizes.norm + SUMMING * sizes.whole
        return norm * by_norm + lost * ((1 + summing) * sizes.norm) + 1e-35

    def least(self, bound: Tensor, slack: Tensor) -> Tensor:
        """No product below this can reach `bound` with its error (m each): s where s + slack + rounding·|s| = bound."""
        rest = bound - slack
        solved = torch.where(rest > 0, rest / (1 + self.rounding), rest / (1 - self.rounding))
        return solved - 1e-6 * (bound.abs() + slack)


class Sizes(NamedTuple):
    """What the bound needs of passages: |x̃| at least, |x - c - x̃|, and |x|."""

    norm: Tensor
    lost: Tensor
    whole: Tensor

    def largest(self) -> Sizes:
        """One size that holds for all (1)."""
        return Sizes(*(part.max()[None] for part in self))

    def largest_of_groups(self, size: int) -> Sizes:
        """For each group of `size` passages, those with the same remainder, what holds for all of it (B / size)."""
        return Sizes(*(part.view(size, -1).amax(0) for part in self))

    def of(self, columns: Tensor) -> Sizes:
        """Those of some passages, in the shape of `columns`."""
        return Sizes(*(part[columns] for part in self))


@dataclass(frozen=True)
class Block:
    """Consecutive passages made ready (B × d, B a multiple of what the filter needs), with their sizes (B)."""

    start: int
    rows: int
    values: Tensor
    sizes: Sizes


def prepare_block(start: int, stored: Array, center: Tensor, product: Product, multiple: int) -> Block:
    """A block of passages as read from disk (B × d, float32 or float16), on the center's device.

    Raises DataError naming the row when a vector holds NaN, infinity or numbers too large to multiply.
    """
    whole = torch.from_numpy(stored).to(center.device).float()
    whole_norms = torch.linalg.vector_norm(whole, dim=1)
    check_finite(whole_norms, "row", start)
    if product == "bf16":
        shifted = whole - center
        values = shifted.bfloat16()
        lost = torch.linalg.vector_norm(shifted - values.float(), dim=1)
        norm = torch.linalg.vector_norm(shifted, dim=1) + lost
    else:
        values, norm, lost = whole, whole_norms, torch.zeros_like(whole_norms)
    grown = 1 + 1e-5  # the norms themselves are rounded
    padding = -len(values) % multiple
    sizes = Sizes(*(torch.nn.functional.pad(part * grown, (0, padding)) for part in (norm, lost, whole_norms)))
    return Block(start, len(stored), torch.nn.functional.pad(values, (0, 0, 0, padding)), sizes)


def multiply(questions: Tensor, passages: Tensor, buffer: Tensor) -> Tensor:
    """Inner products of all questions and passages (m × B), in `buffer` (flat, at least m · B) where possible.

    Float32 on a CPU goes through oneDNN, which is twice as fast as MKL on AMD's processors.
    """
    linear = _onednn_linear()
    if passages.dtype is torch.float32 and passages.device.type == "cpu" and len(questions) >= WIDE and linear:
        product: Tensor = linear(questions, passages, None, "none", [], "")
        return product
    return torch.mm(questions, passages.T, out=buffer[: len(questions) * len(passages)].view(len(questions), -1))


@functools.cache
def _onednn_linear() -> Any:
    """PyTorch's own way to oneDNN's float32 product, which its compiler uses; None where it was built without."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def largest_of_groups(scores: Tensor, size: int, least: Tensor | None = None) -> Tensor:
    """The largest score of every group of `size` passages (m × B / size), in float32.

    Passage i belongs to group i mod (B / size), so that maxima are taken of whole rows. With `least` (m), which says
    from where on scores matter, a group that is all below it may get any of its scores: where no `least` is negative,
    scores are then compared as integers of their bits, which order non-negative floats, in a fraction of the time.
    """
    grouped = scores.view(len(scores), size, -1)
    if least is None or bool((least <= 0).any()):
        return grouped.amax(1).float()
    whole = torch.int16 if scores.dtype is torch.bfloat16 else torch.int32
    return grouped.view(whole).amax(1).view(scores.dtype).float()


def check_finite(norms: Tensor, what: str, first: int = 0) -> None:
    """Raise DataError for the first vector whose norm is not a number below 10¹⁸."""
    bad = (~(norms < LARGEST_NORM)).nonzero()[:, 0]
    if len(bad):
        problem = "NaN, infinite or huge numbers in a vector cannot be searched"
        raise DataError(problem, field=what, value=first + int(bad[0]))
