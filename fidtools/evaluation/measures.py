"""What is measured by default: answers found in passages, gold passages found, predictions right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fidtools.data.records import Passage, Question
from fidtools.evaluation.scores import Finish, Unmeasured
from fidtools.metrics.answer_match import AnswerMatcher, first_rank, regex_hits, usable
from fidtools.metrics.answers import Normalizer, exact_match, f1, normalize_answer

NO_ANSWERS = Unmeasured("have no answers")
NO_USABLE_ANSWER = Unmeasured("have no usable answer (empty, or without a letter, digit or sign)")
NO_PASSAGES = Unmeasured("have no passages", zero=True)
NO_TEXT = Unmeasured("have passages without text (give the corpus with --passages)")
NO_GOLD = Unmeasured("have no gold passage ids")
NO_IDS = Unmeasured("have passages without ids")
NO_PREDICTION = Unmeasured("have no prediction", zero=True)
FLAGS = ("has_answer", "hasanswer")


@dataclass
class RankMeasure:
    """What R@k of either kind shares: ranks of first hits, and the length of the longest list."""

    ks: Sequence[int]
    prefix: str = ""
    unit: str = "%"
    longest: int = 0

    @property
    def names(self) -> list[str]:
        """R@k for every k."""
        return [f"{self.prefix}R@{k}" for k in self.ks]

    def at_ks(self, rank: float, passages: Sequence[Passage]) -> dict[str, float]:
        """100 for every k that reaches the rank, else 0."""
        self.longest = max(self.longest, len(passages))
        return {name: 100.0 * (rank <= k) for name, k in zip(self.names, self.ks, strict=True)}

    def finish(self) -> Finish:
        """k beyond the longest list says nothing that the list's length does not."""
        why = f"no question has more than {self.longest} passages"
        beyond = [name for name, k in zip(self.names, self.ks, strict=True) if k > self.longest]
        return Finish(withdrawn=dict.fromkeys(beyond, why))


@dataclass
class AnswerRecall(RankMeasure):
    """R@k: the share of questions with an answer in the text of their first k passages.

    `match` is "tokens" (DPR's answer match) or "regex" (answers are regular expressions, as CuratedTREC's).
    `empty_matches`: an answer without tokens is found everywhere, as the reference has it; else it is never found and a
    question with no other answer is left out. Passages without text are judged by the flags they carry, if they do.
    """

    match: Literal["tokens", "regex"] = "tokens"
    empty_matches: bool = False
    flagged: int = 0

    @property
    def by(self) -> str:
        """The kind of match."""
        return "answer match: " + {"tokens": "DPR's token sequences, NFD", "regex": "regular expressions"}[self.match]

    def measure(self, questions: Sequence[Question]) -> list[dict[str, float] | Unmeasured]:
        """R@k for every k, per question."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> dict[str, float] | Unmeasured:
        answers = question.answers
        if not answers:
            return NO_ANSWERS
        if not usable(answers) and not self.empty_matches:
            return NO_USABLE_ANSWER
        if question.ctxs is None:
            return NO_PASSAGES
        hits = self._hits(answers, question.ctxs)
        return NO_TEXT if hits is None else self.at_ks(first_rank(hits), question.ctxs)

    def _hits(self, answers: Sequence[str], passages: Sequence[Passage]) -> Sequence[bool] | None:
        texts = [passage.text for passage in passages]
        if passages and not any(texts):
            flags = [next((p.extra[name] for name in FLAGS if name in p.extra), None) for p in passages]
            self.flagged += None not in flags
            return None if None in flags else [bool(flag) for flag in flags]
        if self.match == "regex":
            return regex_hits(answers, texts)
        return AnswerMatcher(answers, empty_matches=self.empty_matches).hits(texts)

    def finish(self) -> Finish:
        """Also says when flags were believed."""
        end = super().finish()
        note = f"{self.flagged} questions were judged by the flags in the file: their passages have no text"
        return Finish(end.withdrawn, notes=[note] if self.flagged else [])


Relevance = dict[str, int]


@dataclass
class Gold:
    """Where the relevant passages of a question are said: qrels by question id, or a field of the line."""

    field: str = "gold"
    qrels: dict[str, Relevance] | None = None

    def of(self, question: Question) -> Relevance | None:
        """Grades by passage id; a field may hold a list of ids or an object of grades. None where nothing is said."""
        if self.qrels is not None:
            return self.qrels.get(question.id)
        said = question.extra.get(self.field)
        if isinstance(said, dict):
            return {str(name): grade for name, grade in said.items() if isinstance(grade, int)}
        return {str(name): 1 for name in said} if isinstance(said, list) else None


@dataclass
class GoldRecall(RankMeasure):
    """gold-R@k: the share of questions with a relevant passage among their first k."""

    prefix: str = "gold-"
    by: str = "gold passage ids"
    gold: Gold = field(default_factory=Gold)

    def measure(self, questions: Sequence[Question]) -> list[dict[str, float] | Unmeasured]:
        """gold-R@k for every k, per question."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> dict[str, float] | Unmeasured:
        relevant = {name for name, grade in (self.gold.of(question) or {}).items() if grade > 0}
        if not relevant:
            return NO_GOLD
        if question.ctxs is None:
            return NO_PASSAGES
        if any(passage.id is None for passage in question.ctxs):
            return NO_IDS
        return self.at_ks(first_rank([passage.id in relevant for passage in question.ctxs]), question.ctxs)


def unjudged(question: Question) -> Unmeasured | None:
    """Why a question's prediction cannot be compared with its answers; None where it can."""
    if not question.answers:
        return NO_ANSWERS
    return NO_PREDICTION if question.prediction is None else None


class PredictionMeasure(ABC):
    """What measures of one prediction against its answers share; `values` is each one's own."""

    def measure(self, questions: Sequence[Question]) -> list[dict[str, float] | Unmeasured]:
        """Every metric, per question."""
        return [unjudged(q) or self.values(q.prediction or "", q.answers or []) for q in questions]

    @abstractmethod
    def values(self, prediction: str, answers: Sequence[str]) -> dict[str, float]:
        """The metrics of a prediction; there is at least one answer."""

    def finish(self) -> Finish:
        """Nothing to add."""
        return Finish()


@dataclass
class AnswerScores(PredictionMeasure):
    """EM and F1 of the predictions, in the normal form of the profile."""

    normalize: Normalizer = normalize_answer
    by: str = "SQuAD's normalisation"
    names: Sequence[str] = ("EM", "F1")
    unit: str = "%"

    def values(self, prediction: str, answers: Sequence[str]) -> dict[str, float]:
        """EM and F1."""
        exact = exact_match(prediction, answers, self.normalize)
        return {"EM": 100.0 * exact, "F1": 100.0 * f1(prediction, answers, self.normalize)}
