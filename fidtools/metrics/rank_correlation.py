"""Rank correlations of two scores of the same passages: Kendall's tau-b, Spearman's rho, rank-biased overlap."""

from __future__ import annotations

import numpy as np

from fidtools.metrics.rankings import ranking
from fidtools.typing import Floats

PERSISTENCE = 0.9


def kendall(gold: Floats, other: Floats) -> Floats:
    """Kendall's τ-b per row of (questions, passages): ties lower it; NaN where all scores of a side are equal."""
    a, b = (np.sign(x[:, :, None] - x[:, None, :]) for x in (gold, other))  # (questions, passages, passages)
    with np.errstate(invalid="ignore"):
        tau: Floats = (a * b).sum(axis=(1, 2)) / np.sqrt((a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2)))
    return tau


def spearman(gold: Floats, other: Floats) -> Floats:
    """Spearman's ρ per row, equal scores sharing their mean rank; NaN where all scores of a side are equal."""
    a, b = (_mean_ranks(x) for x in (gold, other))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        rho: Floats = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return rho


def _mean_ranks(scores: Floats) -> Floats:
    greater: Floats = (scores[:, None, :] > scores[:, :, None]).sum(axis=2)
    equal = (scores[:, None, :] == scores[:, :, None]).sum(axis=2)
    ranks: Floats = greater + (equal + 1) / 2
    return ranks


def rank_biased_overlap(gold: Floats, other: Floats, p: float = PERSISTENCE) -> Floats:
    """Extrapolated RBO (Webber et al. 2010, equation 32) per row, at depth n with persistence `p`, 0 to 1."""
    ranks = ranking(gold, other)  # gold ranks by descending `other`
    n = ranks.shape[1]
    depth = np.arange(1, n + 1)
    latest = np.maximum(ranks, np.arange(n))  # the depth at which a passage has been seen in both
    common = (latest[:, :, None] < depth).sum(axis=1)  # (questions, depths)
    agreement = common / depth
    extrapolated: Floats = agreement[:, -1] * p**n + (1 - p) / p * (agreement * p**depth).sum(axis=1)
    return extrapolated
