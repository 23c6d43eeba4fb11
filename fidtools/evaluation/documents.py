"""Fact checking: sets of documents that must be found together, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fidtools.data.records import Passage, Question
from fidtools.evaluation.measures import NO_PASSAGES, PredictionMeasure, RankMeasure
from fidtools.evaluation.scores import Unmeasured
from fidtools.metrics.page_titles import page_title

NO_EVIDENCE = Unmeasured("have no evidence")
NOT_ENOUGH = "NOT ENOUGH INFO"
Sets = list[frozenset[str]]


def evidence_sets(question: Question) -> Sets:
    """The alternative sets of pages that FEVER's `evidence` names, spelled as people do; none for NOT ENOUGH INFO.

    FEVER has lists of [annotation, evidence, page, sentence]; a list of [page, sentence] is an alternative each.
    """
    groups = question.extra.get("evidence")
    found = [_pages(group) for group in groups] if isinstance(groups, list) else []
    return [pages for pages in dict.fromkeys(found) if pages]


def _pages(group: Any) -> frozenset[str]:
    if not isinstance(group, list):
        return frozenset()
    if len(group) == 2 and isinstance(group[0], str):
        return frozenset({page_title(group[0])})
    items = (item for item in group if isinstance(item, list) and len(item) == 4)
    return frozenset(page_title(str(page)) for _, _, page, _ in items if page is not None)


def covering_rank(sets: Sets, passages: Sequence[Passage]) -> float:
    """How many passages one reads until some set is seen whole; a passage is of the page that is its title, document
    or id. Infinite when none is.
    """
    seen: set[str] = set()
    for rank, passage in enumerate(passages, 1):
        seen |= {page_title(name) for name in (passage.title, passage.doc_id, passage.id) if name}
        if any(pages <= seen for pages in sets):
            return rank
    return float("inf")


@dataclass
class Evidence(RankMeasure):
    """evidence@k: the share of verifiable claims with a whole evidence set among the pages of the first k passages.

    oracle@k (`oracle`): what FEVER calls oracle accuracy, in which a claim without evidence counts as found.
    """

    oracle: bool = False
    by: str = "FEVER: a whole evidence set, by page"

    @property
    def names(self) -> list[str]:
        """evidence@k or oracle@k for every k."""
        return [f"{'oracle' if self.oracle else 'evidence'}@{k}" for k in self.ks]

    def measure(self, questions: Sequence[Question]) -> list[dict[str, float] | Unmeasured]:
        """Every k, per claim."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> dict[str, float] | Unmeasured:
        sets = evidence_sets(question)
        unverifiable = question.extra.get("label") == NOT_ENOUGH
        if not sets and not (self.oracle and unverifiable):
            return NO_EVIDENCE
        if question.ctxs is None:
            return NO_PASSAGES
        return self.at_ks(covering_rank(sets, question.ctxs) if sets else 0, question.ctxs)


@dataclass
class Accuracy(PredictionMeasure):
    """accuracy: the share of predictions that are a label or answer letter for letter (FEVER, KILT)."""

    names: Sequence[str] = ("accuracy",)
    by: str = "the same letters"
    unit: str = "%"

    def values(self, prediction: str, answers: Sequence[str]) -> dict[str, float]:
        """100 or 0."""
        return {"accuracy": 100.0 * (prediction.strip() in {answer.strip() for answer in answers})}
