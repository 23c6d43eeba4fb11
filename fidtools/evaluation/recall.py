"""R@k and gold-R@k: the share of questions with an answer, or a gold passage, among their first k passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fidtools.data.records import Passage, Question
from fidtools.evaluation.family import MetricFamily, cutoffs
from fidtools.evaluation.gold import Gold, ListedGold
from fidtools.evaluation.measure import (
    NO_ANSWERS,
    NO_GOLD,
    NO_IDS,
    NO_PASSAGES,
    NO_TEXT,
    NO_USABLE_ANSWER,
    Summary,
    Values,
)
from fidtools.metrics.answer_flags import answer_flag
from fidtools.metrics.answer_match import AnswerMatcher, first_rank, is_pattern, regex_hits, slow_patterns_named, usable


@dataclass
class RankMeasure:
    """What all metrics with a cut-off share: the rank of the first hit, and the length of the longest list."""

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

    def finalize(self) -> Summary:
        """Suppresses every k beyond the longest list: it would only repeat the value at the list's length."""
        reason = (
            f"no question has more than {self.longest} passages" if self.longest else "all lists of passages are empty"
        )
        beyond = [name for name, k in zip(self.names, self.ks, strict=True) if k > self.longest]
        return Summary(suppressed=dict.fromkeys(beyond, reason))


@dataclass
class AnswerRecall(RankMeasure):
    """R@k: the share of questions with an answer in the text of their first k passages.

    `match` is "tokens" (DPR's answer match) or "regex" (answers are regular expressions, as CuratedTREC's).
    `empty_matches`: an answer without tokens is found everywhere, as in the reference; else it is never found, and a
    question with no other answer is left out. Passages without text are judged by their `has_answer` flags, if any.
    """

    match: Literal["tokens", "regex"] = "tokens"
    empty_matches: bool = False
    flagged: int = 0
    invalid: int = 0

    @property
    def method(self) -> str:
        """The kind of match."""
        return "answer match: " + {"tokens": "DPR's token sequences, NFD", "regex": "regular expressions"}[self.match]

    def measure(self, questions: Sequence[Question]) -> list[Values]:
        """R@k for every k, per question."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Values:
        if not question.answers:
            return NO_ANSWERS
        if not usable(question.answers) and not self.empty_matches:
            return NO_USABLE_ANSWER
        if question.ctxs is None:
            return NO_PASSAGES
        hits = self._hits(question, question.answers, question.ctxs)
        return NO_TEXT if hits is None else self.at_ks(first_rank(hits), question.ctxs)

    def _hits(self, question: Question, answers: Sequence[str], passages: Sequence[Passage]) -> Sequence[bool] | None:
        texts = [passage.text for passage in passages]
        if passages and not any(texts):
            flags = [flag for p in passages if (flag := answer_flag(question, p)) is not None]
            whole = len(flags) == len(passages)
            self.flagged += whole
            return flags if whole else None
        if self.match == "regex":
            self.invalid += sum(not is_pattern(answer) for answer in answers)
            with slow_patterns_named(question):
                return regex_hits(answers, texts)
        return AnswerMatcher(answers, empty_matches=self.empty_matches).hits(texts)

    def finalize(self) -> Summary:
        """Also notes how many questions were judged by flags, and how many answers are no regular expressions."""
        flags = f"{self.flagged} questions were judged by the flags in the file: their passages have no text"
        invalid = f"{self.invalid} answers are not regular expressions: they match no passage, as in DPR"
        notes = [note for count, note in ((self.flagged, flags), (self.invalid, invalid)) if count]
        return Summary(super().finalize().suppressed, notes=notes)


@dataclass
class GoldRecall(RankMeasure):
    """gold-R@k: the share of questions with a relevant passage among their first k."""

    prefix: str = "gold-"
    method: str = "gold passage ids"
    gold: Gold = field(default_factory=Gold)
    _listed: ListedGold = field(default_factory=ListedGold)

    def measure(self, questions: Sequence[Question]) -> list[Values]:
        """gold-R@k for every k, per question."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Values:
        if not (relevant := self.gold.relevant_ids(question)):
            return NO_GOLD
        if question.ctxs is None:
            return NO_PASSAGES
        if any(passage.id is None for passage in question.ctxs):
            return NO_IDS
        self._listed.see(question, relevant)
        gold = set(relevant)
        return self.at_ks(first_rank([passage.id in gold for passage in question.ctxs]), question.ctxs)

    def finalize(self) -> Summary:
        """As of every rank; notes where no gold passage is listed at all."""
        return Summary(super().finalize().suppressed, notes=self._listed.notes())


METRICS = (
    MetricFamily(
        names=("R@k",),
        description="share of questions with an answer in the text of their first k passages (DPR's answer match: "
        "token sequences, NFD, case-insensitive; titles are not searched; in Japanese, Chinese, Thai and other text "
        "without spaces, each letter is a token)",
        needs="`answers`, `ctxs` with text",
        unit="%",
        options=("--k", "--regex", "--empty-matches"),
        build=lambda settings, names: AnswerRecall(
            cutoffs(names), match=settings.match, empty_matches=settings.empty_matches
        ),
    ),
    MetricFamily(
        names=("gold-R@k",),
        description="share of questions with a relevant passage among their first k",
        needs="`gold` or `--qrels`, `ctxs` with ids",
        unit="%",
        options=("--k", "--gold", "--qrels"),
        build=lambda settings, names: GoldRecall(cutoffs(names), gold=settings.gold),
    ),
)
