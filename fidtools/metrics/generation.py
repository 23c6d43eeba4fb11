"""BLEU and METEOR from summed statistics, as coco-caption computes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fidtools.typing import Floats

MAX_ORDER = 4
TINY, SMALL = 1e-15, 1e-9  # coco-caption's guards against 0 / 0


def bleu(sums: Floats, order: int) -> Floats:
    """BLEU with n-grams up to `order` from summed statistics, (rows, 10) -> (rows,), 0 to 1.

    Columns: length of the prediction and of the closest reference, number of n-grams for n = 1 … 4, and how many of
    them occur in a reference (Papineni et al. 2002).
    """
    length, reference = sums[:, 0], sums[:, 1]
    written, matched = sums[:, 2 : 2 + order], sums[:, 2 + MAX_ORDER : 2 + MAX_ORDER + order]
    precision = np.prod((matched + TINY) / (written + SMALL), axis=1) ** (1 / order)
    ratio = (length + TINY) / (reference + SMALL)
    value: Floats = precision * np.where(ratio < 1, np.exp(1 - 1 / np.minimum(ratio, 1)), 1.0)
    return value


OWN_LENGTH, REFERENCE_LENGTH, CHUNKS, OWN_MATCHES, REFERENCE_MATCHES = 0, 1, 20, 21, 22  # columns
STAGE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # of a match: the same word, its stem, a synonym, a paraphrase
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75  # METEOR 1.5's parameters for English


def meteor(statistics: Floats) -> Floats:
    """METEOR 1.5 for English from its (summed) statistics, (rows, 23) -> (rows,), 0 to 1.

    Denkowski & Lavie (2014): content words have weight δ and function words 1 − δ; precision and recall are combined
    with α; the penalty is γ · fragmentation^β, where fragmentation is chunks per match.
    """
    stages = statistics[:, 4:20].reshape(-1, 4, 4)  # per stage: own and reference's content words, then function words
    matched = (DELTA * stages[:, :, :2] + (1 - DELTA) * stages[:, :, 2:]) * STAGE_WEIGHTS[:, None]
    length, function = statistics[:, :2], statistics[:, 2:4]
    weighted = DELTA * (length - function) + (1 - DELTA) * function
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = (matched.sum(axis=1) / weighted).T
        mean = 1 / ((1 - ALPHA) / precision + ALPHA / recall)
        fragmentation = statistics[:, CHUNKS] / (statistics[:, [OWN_MATCHES, REFERENCE_MATCHES]].sum(axis=1) / 2)
    fragmentation[_is_one_chunk(statistics)] = 0
    value: Floats = np.nan_to_num(mean) * (1 - GAMMA * np.nan_to_num(fragmentation) ** BETA)
    return value


def without_single_chunks(statistics: Floats) -> Floats:
    """METEOR's statistics per answer, (n, 23), as it sums them: an answer identical to its reference has no chunks."""
    summed = statistics.copy()
    summed[_is_one_chunk(statistics), CHUNKS] = 0
    return summed


def _is_one_chunk(statistics: Floats) -> NDArray[np.bool_]:
    lengths, matches = statistics[:, [OWN_LENGTH, REFERENCE_LENGTH]], statistics[:, [OWN_MATCHES, REFERENCE_MATCHES]]
    same: NDArray[np.bool_] = (np.ptp(np.hstack([lengths, matches]), axis=1) == 0) & (statistics[:, CHUNKS] == 1)
    return same
