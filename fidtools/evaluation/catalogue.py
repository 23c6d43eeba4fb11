"""The metrics by name, and the profiles: which of them a data set is judged by, with which normaliser."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fidtools.errors import UsageError
from fidtools.evaluation.answers import Normalizer, normalize_answer, normalize_trivia
from fidtools.evaluation.measures import AnswerRecall, AnswerScores, Gold, GoldRecall
from fidtools.evaluation.scores import Measure

CUTOFFS = (1, 5, 20, 100)
RECALL = ("R@k", "gold-R@k")
ANSWERS = ("EM", "F1")


@dataclass(frozen=True)
class Profile:
    """The metrics a data set is judged by; `R@k` stands for every cut-off."""

    metrics: Sequence[str]
    normalize: Normalizer = normalize_answer
    normalizer: str = "SQuAD's normalisation"


PROFILES = {
    "nq": Profile((*RECALL, *ANSWERS)),
    "triviaqa": Profile((*RECALL, *ANSWERS), normalize_trivia, "TriviaQA's normalisation"),
    "squad": Profile((*RECALL, *ANSWERS)),
}


@dataclass(frozen=True)
class Settings:
    """How metrics are counted."""

    profile: str = "nq"
    gold: Gold = field(default_factory=Gold)
    match: Literal["tokens", "regex"] = "tokens"
    empty_matches: bool = False


def measures(settings: Settings, names: Sequence[str] = (), ks: Sequence[int] = CUTOFFS) -> list[Measure]:
    """The measures for `names` (default: the profile's), those counted together once.

    Raises UsageError for an unknown name, with the known ones.
    """
    wanted = expand(names or PROFILES[settings.profile].metrics, ks)
    built: list[Measure] = []
    for pattern, build in FAMILIES:
        found = [match for match in (re.fullmatch(pattern, name) for name in wanted) if match]
        if found:
            built.append(build(settings, found))
            wanted = [name for name in wanted if name not in {match.group() for match in found}]
    if wanted:
        known = "R@k, gold-R@k, EM, F1"
        raise UsageError(f"unknown metric: {', '.join(wanted)}", hint=f"known are {known}")
    return built


def expand(names: Sequence[str], ks: Sequence[int]) -> list[str]:
    """`names` with every `…@k` written out for the cut-offs, each once."""
    spelled = [name.removesuffix("@k") + f"@{k}" for name in names if name.endswith("@k") for k in ks]
    return list(dict.fromkeys([n for n in names if not n.endswith("@k")] + spelled)) if spelled else list(names)


def _answer_recall(settings: Settings, found: list[re.Match[str]]) -> Measure:
    return AnswerRecall(_cutoffs(found), match=settings.match, empty_matches=settings.empty_matches)


def _gold_recall(settings: Settings, found: list[re.Match[str]]) -> Measure:
    return GoldRecall(_cutoffs(found), gold=settings.gold)


def _answers(settings: Settings, found: list[re.Match[str]]) -> Measure:
    profile = PROFILES[settings.profile]
    return AnswerScores(profile.normalize, profile.normalizer, [match.group() for match in found])


def _cutoffs(found: list[re.Match[str]]) -> list[int]:
    return sorted({int(match[1]) for match in found})


Builder = Callable[[Settings, list[re.Match[str]]], Measure]
FAMILIES: Sequence[tuple[str, Builder]] = (
    (r"R@([1-9]\d*)", _answer_recall),
    (r"gold-R@([1-9]\d*)", _gold_recall),
    (r"EM|F1", _answers),
)
