"""Exact search: every passage is compared with every question, by fast products that lose no true hit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fidtools.compute.device import choose_device
from fidtools.compute.precision import bf16_units
from fidtools.data.top_k import TopK
from fidtools.search.candidates import bytes_of_question
from fidtools.search.corpus_pass import candidates_of
from fidtools.search.products import Product, check_finite
from fidtools.search.rescoring import brute_force, rescore
from fidtools.search.stretches import FLOAT32_BYTES
from fidtools.search.vectors import Vectors
from fidtools.typing import Array

DEFAULT_MEMORY_BYTES = 1 << 30
MIN_QUESTIONS_BF16 = 128  # for fewer, rounding the passages costs more than the faster product saves
BRUTE_FORCE_PAIRS = 1 << 15  # pairs of question and passage that are scored exactly at once


def search(
    questions: Array,
    vectors: Vectors,
    k: int,
    *,
    memory: int = DEFAULT_MEMORY_BYTES,
    product: Product | None = None,
) -> TopK:
    """The `k` passages with the greatest inner product for each question (m × d), the same as by brute force.

    The products are bf16 where the device has units for it, with a bound on their error: a passage is dropped only when
    k others are certainly better. What is left is scored again in float64. Scores are those inner products rounded to
    float32; equal ones are listed by row. `memory` bounds what is held, in bytes, whatever the size of the corpus.
    Raises DataError for vectors that are not finite.
    """
    device = choose_device()
    kind = product or fastest_product(len(questions))
    k = min(k, vectors.shape[0])
    if not k or not len(questions):
        return TopK.empty(len(questions), k)
    asked = torch.from_numpy(np.ascontiguousarray(questions, dtype=np.float32)).to(device)
    check_finite(torch.linalg.vector_norm(asked, dim=1), "question")
    if len(asked) * vectors.shape[0] <= BRUTE_FORCE_PAIRS:
        return brute_force(asked, vectors, k)
    together = _questions_at_once(len(questions), vectors.shape[1], k, memory)
    parts = [_search(part, vectors, k, memory, kind) for part in torch.split(asked, together)]
    return TopK.stacked(parts)


def fastest_product(questions: int) -> Product:
    """bf16 where the device has units for it and there are enough questions to pay for rounding the passages."""
    return "bf16" if questions >= MIN_QUESTIONS_BF16 and bf16_units(choose_device())[0] else "float32"


def _questions_at_once(questions: int, dim: int, k: int, memory: int) -> int:
    """The number of questions whose candidates and vectors take at most half of the memory."""
    bytes_each = 4 * dim * FLOAT32_BYTES + bytes_of_question(k)
    return max(1, min(questions, memory // (2 * bytes_each)))


def _search(questions: Tensor, vectors: Vectors, k: int, memory: int, product: Product) -> TopK:
    """One pass over the corpus for some questions, and another pass for those with too many near-ties."""
    left = candidates_of(questions, vectors, k, memory, product)
    found = rescore(questions, vectors, (left.questions, left.rows), k, memory)
    overflowed = left.overflowed.nonzero()[:, 0]
    if len(overflowed):
        # More passages are nearly as good as the k-th than fit. More precise products tell them apart: float32 after
        # bf16, and exact ones, which need no candidates, after float32.
        rest = questions[overflowed]
        better = _search(rest, vectors, k, memory, "float32") if product == "bf16" else brute_force(rest, vectors, k)
        place = overflowed.cpu().numpy()
        found.rows[place], found.scores[place] = better.rows, better.scores
    return found
