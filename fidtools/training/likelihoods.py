"""Targets whose scores are logarithms of likelihoods (`probabilities`), as the likelihoods that they stand for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fidtools.data.files import PathLike
from fidtools.errors import DataError
from fidtools.typing import Floats


def likelihoods(logarithms: Floats, path: PathLike) -> Floats:
    """exp of one question's scores (n,), in single precision. Raises DataError where it is infinite."""
    with np.errstate(over="ignore"):
        found: Floats = np.exp(logarithms).astype(np.float32).astype(np.float64)
    if not np.isfinite(found).all():
        hint = "scores that are no logarithms, such as attention, are learned without it"
        raise DataError("`probabilities`: exp(score) is infinite", path=path, hint=hint)
    return found


def require_likelihoods(targets: Sequence[Floats], path: PathLike) -> None:
    """Raise DataError where most questions have no likelihood above 0."""
    if (zero := sum(not target.any() for target in targets)) > len(targets) / 2:
        hint = "likelihoods of whole texts are this small: score with --per-token, or leave out `probabilities`"
        problem = f"`probabilities`: exp(score) is 0 for all passages in {zero} of {len(targets)} questions"
        raise DataError(problem, path=path, hint=hint)
