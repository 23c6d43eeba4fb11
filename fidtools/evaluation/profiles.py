"""Profiles: the metrics and the answer normalization of a data set. Light to import, as `--help` lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fidtools.metrics.answers import Normalizer, normalize_answer, normalize_trivia

DEFAULT = "nq"


@dataclass(frozen=True)
class Profile:
    """The default metrics of a data set (`@k` stands for every cut-off), and the normalization of EM and F1."""

    metrics: Sequence[str]
    normalize: Normalizer = normalize_answer
    normalizer: str = "SQuAD's normalisation"


OPEN_DOMAIN = ("R@k", "gold-R@k", "EM", "F1")
PROFILES = {
    "nq": Profile(OPEN_DOMAIN),
    "triviaqa": Profile(OPEN_DOMAIN, normalize_trivia, "TriviaQA's normalisation"),
    "squad": Profile(OPEN_DOMAIN),
    "narrativeqa": Profile(("R@k", "gold-R@k", "BLEU-1", "BLEU-4", "METEOR", "ROUGE-L")),
    "fever": Profile(("gold-R@k", "evidence@k", "oracle@k", "accuracy")),
    "kilt": Profile(("KILT", "accuracy", "EM", "F1")),
}
