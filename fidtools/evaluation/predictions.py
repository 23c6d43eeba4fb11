"""Metrics of predicted answers and labels: exact match, token F1, accuracy."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from fidtools.data.records import Question
from fidtools.evaluation.family import MetricFamily, MetricSettings
from fidtools.evaluation.measure import NO_ANSWERS, NO_PREDICTION, Summary, Unmeasured, Values
from fidtools.metrics.answer_match import regex_match, slow_patterns_named
from fidtools.metrics.answers import Normalizer, exact_match, f1, normalize_answer


def why_unjudged(question: Question) -> Unmeasured | None:
    """Why a question's prediction cannot be compared with its answers; None where it can."""
    if not question.answers:
        return NO_ANSWERS
    return NO_PREDICTION if question.prediction is None else None


class PredictionMeasure(ABC):
    """What metrics of one prediction against its answers share; each defines `values`."""

    def measure(self, questions: Sequence[Question]) -> list[Values]:
        """Every metric, per question."""
        return [why_unjudged(q) or self.values(q.prediction or "", q.answers or []) for q in questions]

    @abstractmethod
    def values(self, prediction: str, answers: Sequence[str]) -> dict[str, float]:
        """The metrics of a prediction; there is at least one answer."""

    def finalize(self) -> Summary:
        """Nothing to add."""
        return Summary()


@dataclass
class AnswerScores(PredictionMeasure):
    """EM and F1 of the predictions, in the profile's normal form."""

    normalize: Normalizer = normalize_answer
    method: str = "SQuAD's normalisation"
    names: Sequence[str] = ("EM", "F1")
    unit: str = "%"

    def values(self, prediction: str, answers: Sequence[str]) -> dict[str, float]:
        """EM and F1."""
        exact = exact_match(prediction, answers, self.normalize)
        return {"EM": 100.0 * exact, "F1": 100.0 * f1(prediction, answers, self.normalize)}


@dataclass
class RegexMatch:
    """EM of the predictions where the answers are regular expressions (CuratedTREC); F1 is not defined for these."""

    names: Sequence[str] = ("EM", "F1")
    method: str = "regular expressions, from the beginning of the prediction (DrQA)"
    unit: str = "%"

    def measure(self, questions: Sequence[Question]) -> list[Values]:
        """EM, per question."""
        return [why_unjudged(question) or self._values(question) for question in questions]

    def _values(self, question: Question) -> dict[str, float]:
        with slow_patterns_named(question):
            found = regex_match(question.answers or (), question.prediction or "")
        return {"EM": 100.0 * found, "F1": math.nan}

    def finalize(self) -> Summary:
        """Suppresses F1."""
        return Summary(suppressed={"F1": "answers are regular expressions, which have no tokens to share"})


def _answer_scores(settings: MetricSettings, names: Sequence[str]) -> AnswerScores | RegexMatch:
    if settings.match == "regex":
        return RegexMatch(names)
    return AnswerScores(settings.profile.normalize, settings.profile.normalizer, names)


@dataclass
class Accuracy(PredictionMeasure):
    """accuracy: the share of predictions that equal a label or answer exactly (FEVER, KILT)."""

    names: Sequence[str] = ("accuracy",)
    method: str = "identical strings"
    unit: str = "%"

    def values(self, prediction: str, answers: Sequence[str]) -> dict[str, float]:
        """100 or 0."""
        return {"accuracy": 100.0 * (prediction.strip() in {answer.strip() for answer in answers})}


METRICS = (
    MetricFamily(
        names=("EM", "F1"),
        description="exact match: share of predictions equal to an answer in normal form; F1: token overlap with the "
        "best answer",
        needs="`prediction`, `answers`",
        unit="%",
        options=("--profile", "--prediction", "--regex"),
        build=_answer_scores,
    ),
    MetricFamily(
        names=("accuracy",),
        description="share of predictions identical to a label or answer",
        needs="`prediction`, `answers`",
        unit="%",
        options=("--prediction",),
        build=lambda settings, names: Accuracy(),
    ),
)
