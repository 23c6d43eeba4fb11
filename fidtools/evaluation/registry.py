"""The metrics by name, and the profiles: which of them a data set is judged by, with which normaliser."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fidtools.errors import MissingExtraError, UsageError
from fidtools.evaluation.agreement import KINDS, Agreement
from fidtools.evaluation.documents import Accuracy, Evidence
from fidtools.evaluation.generated import NAMES, Generated
from fidtools.evaluation.judged import Judged, parse
from fidtools.evaluation.kilt import Kilt, KiltRouge
from fidtools.evaluation.measures import AnswerRecall, AnswerScores, Gold, GoldRecall
from fidtools.evaluation.scores import Measure
from fidtools.metrics.answers import Normalizer, normalize_answer, normalize_trivia

CUTOFFS = (1, 5, 20, 100)
KNOWN = ("R@k", "gold-R@k", "EM", "F1", "accuracy", "evidence@k", "oracle@k", "KILT", "KILT-ROUGE-L", *NAMES)
WITH_CUTOFF = ("overlap", "cover")


@dataclass(frozen=True)
class Profile:
    """The metrics a data set is judged by; `@k` stands for every cut-off."""

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


@dataclass(frozen=True)
class MetricSettings:
    """How metrics are counted."""

    profile: str = "nq"
    gold: Gold = field(default_factory=Gold)
    match: Literal["tokens", "regex"] = "tokens"
    empty_matches: bool = False


def measures(settings: MetricSettings, names: Sequence[str] = (), ks: Sequence[int] = CUTOFFS) -> list[Measure]:
    """The measures for `names` (default: the profile's); those that share work are one.

    Raises UsageError for unknown names, with the known ones.
    """
    wanted = expand(names or PROFILES[settings.profile].metrics, ks)
    built: list[Measure] = []
    for pattern, build in FAMILIES:
        found = [match for match in (re.fullmatch(pattern, name) for name in wanted) if match]
        if found:
            built.append(build(settings, found))
            wanted = [name for name in wanted if not re.fullmatch(pattern, name)]
    return [*built, *_judged(settings, wanted)]


def agreements(gold: str, other: str, ks: Sequence[int] = CUTOFFS) -> list[Measure]:
    """How score `other` agrees with score `gold`, in every way we know."""
    return [Agreement(kind, gold, other, ks if kind in WITH_CUTOFF else ()) for kind in KINDS]


def expand(names: Sequence[str], ks: Sequence[int]) -> list[str]:
    """`names` with every `…@k` written out for the cut-offs, each once."""
    spelled = ([name.removesuffix("k") + str(k) for k in ks] if name.endswith("@k") else [name] for name in names)
    return list(dict.fromkeys(name for group in spelled for name in group))


def _judged(settings: MetricSettings, names: Sequence[str]) -> list[Measure]:
    """What is left belongs to ir_measures, or is unknown."""
    if not names:
        return []
    try:
        unknown = [name for name in names if parse(name) is None]
        others = "and those of ir_measures: nDCG@10, AP, MRR, P@5, Recall@20, Rprec …"
    except MissingExtraError as error:
        unknown, others = list(names), f"and those of ir_measures: {error.hint}"
    if unknown:
        raise UsageError(f"unknown metric: {', '.join(unknown)}", hint=f"known are {', '.join(KNOWN)}, {others}")
    return [Judged(names, settings.gold)]


Found = list[re.Match[str]]


def _answer_recall(settings: MetricSettings, found: Found) -> Measure:
    return AnswerRecall(_cutoffs(found), match=settings.match, empty_matches=settings.empty_matches)


def _answers(settings: MetricSettings, found: Found) -> Measure:
    profile = PROFILES[settings.profile]
    return AnswerScores(profile.normalize, profile.normalizer, [match.group() for match in found])


def _cutoffs(found: Found) -> list[int]:
    return sorted({int(match[1]) for match in found})


FAMILIES: Sequence[tuple[str, Callable[[MetricSettings, Found], Measure]]] = (
    (r"R@([1-9]\d*)", _answer_recall),
    (r"gold-R@([1-9]\d*)", lambda settings, found: GoldRecall(_cutoffs(found), gold=settings.gold)),
    (r"evidence@([1-9]\d*)", lambda settings, found: Evidence(_cutoffs(found))),
    (r"oracle@([1-9]\d*)", lambda settings, found: Evidence(_cutoffs(found), oracle=True)),
    (r"EM|F1", _answers),
    (r"accuracy", lambda settings, found: Accuracy()),
    (r"KILT", lambda settings, found: Kilt()),
    (r"KILT-ROUGE-L", lambda settings, found: KiltRouge()),
    ("|".join(NAMES), lambda settings, found: Generated([match.group() for match in found])),
)
