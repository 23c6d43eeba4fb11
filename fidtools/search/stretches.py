"""Stretches of the corpus, read and multiplied with the questions in pieces that stay in the processor's cache."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fidtools.search.products import GROUP_SIZE, PassageNorms, Stretch, check_finite, multiply, upper_bounds
from fidtools.search.vectors import Vectors

FLOAT32_BYTES = 4
PIECE_BYTES = 3 << 20  # read at once, in float32; an accelerator is given more
PIECE_BYTES_OF_ACCELERATOR = 1 << 26
BUFFERS = 3  # of a piece: as stored, in float32, rounded


class StretchReader:
    """Reads stretches of up to `stretch` passages into the same memory again and again; one belongs to one thread.

    `questions` (m × d) are in the precision of the product. If that is bf16, passages are rounded too, and since
    rounding loses a share of what is rounded, the common part of all passages, `center` (d), is taken off before.
    """

    def __init__(self, questions: Tensor, vectors: Vectors, center: Tensor | None, stretch: int, memory: int) -> None:
        on_cpu, dim = questions.device.type == "cpu", vectors.shape[1]
        wanted = min(PIECE_BYTES if on_cpu else PIECE_BYTES_OF_ACCELERATOR, max(1, memory // (8 * BUFFERS)))
        pieces = -(-stretch * dim * FLOAT32_BYTES // wanted)
        self._piece = -(-stretch // pieces)
        self._questions, self._vectors, self._center, self._stretch = questions, vectors, center, stretch
        self._stored = np.empty((self._piece, dim), vectors.dtype)
        self._shifted = questions.new_empty((self._piece, dim), dtype=torch.float32) if center is not None else None
        self._rounded = questions.new_empty((self._piece, dim)) if center is not None else None
        self._scores = questions.new_empty(len(questions) * stretch)
        self._norms = torch.empty((3, stretch), device=questions.device)

    def read(self, start: int) -> Stretch:
        """The stretch from row `start`, valid until the next one is read.

        Raises DataError naming the row where a vector holds NaN, infinity or numbers too large to multiply.
        """
        rows = min(self._stretch, self._vectors.shape[0] - start)
        width = -(-rows // GROUP_SIZE) * GROUP_SIZE
        scores = self._scores[: len(self._questions) * width].view(-1, width)
        rounded, lost, original = norms = self._norms[:, :width].zero_()
        for first in range(0, rows, self._piece):
            last = min(first + self._piece, rows)
            piece = self._prepared(start + first, start + last, norms[:, first:last])
            out = scores[:, first:last]
            product = multiply(self._questions, piece, out)
            if product is not out:
                out.copy_(product)
        check_finite(original[:rows], "row", start)
        upper_bounds(norms, self._vectors.shape[1])
        if self._center is None:
            return Stretch(start, rows, scores, PassageNorms(original, lost, original))
        return Stretch(start, rows, scores, PassageNorms(rounded + lost, lost, original))  # |x̃| ≤ |x - c| + |x - c - x̃|

    def _prepared(self, start: int, stop: int, norms: Tensor) -> Tensor:
        """Passages ready to multiply (B × d), and in `norms` (3 × B) |x - c|, |x - c - x̃| and |x|."""
        stored = torch.from_numpy(self._vectors.read(start, stop, self._stored))
        original = stored.to(self._questions.device).float()
        torch.linalg.vector_norm(original, dim=1, out=norms[2])
        if self._center is None or self._shifted is None or self._rounded is None:
            return original
        shifted = torch.sub(original, self._center, out=self._shifted[: stop - start])
        torch.linalg.vector_norm(shifted, dim=1, out=norms[0])
        rounded = self._rounded[: stop - start].copy_(shifted)
        torch.linalg.vector_norm(shifted.sub_(rounded), dim=1, out=norms[1])
        return rounded
