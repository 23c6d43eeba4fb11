"""FEVER's evidence: sets of pages that must be retrieved together (Thorne et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fidtools.data.records import Passage, Question
from fidtools.evaluation.family import MetricFamily, cutoffs
from fidtools.evaluation.measure import NO_PASSAGES, Unmeasured, Values
from fidtools.evaluation.recall import RankMeasure
from fidtools.metrics.page_titles import page_title

NO_EVIDENCE = Unmeasured("have no evidence")
NOT_ENOUGH_INFO = "NOT ENOUGH INFO"
PageSets = list[frozenset[str]]


def evidence_sets(question: Question) -> PageSets:
    """The alternative sets of page titles that FEVER's `evidence` names; none for NOT ENOUGH INFO.

    FEVER has lists of [annotation, evidence, page, sentence]; in lists of [page, sentence], each is an alternative.
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


def covering_rank(sets: PageSets, passages: Sequence[Passage]) -> float:
    """The first rank at which all pages of some set have been seen, or infinity.

    A passage belongs to the page that is its title, its `doc_id` or its id.
    """
    seen: set[str] = set()
    for rank, passage in enumerate(passages, 1):
        seen |= {page_title(name) for name in (passage.title, passage.doc_id, passage.id) if name}
        if any(pages <= seen for pages in sets):
            return rank
    return float("inf")


@dataclass
class Evidence(RankMeasure):
    """evidence@k: the share of verifiable claims with a complete evidence set among the pages of the first k passages.

    oracle@k (`oracle`): FEVER's oracle accuracy, in which a claim without evidence counts as found.
    """

    oracle: bool = False
    method: str = "FEVER: a complete evidence set, by page"

    @property
    def names(self) -> list[str]:
        """evidence@k or oracle@k for every k."""
        return [f"{'oracle' if self.oracle else 'evidence'}@{k}" for k in self.ks]

    def measure(self, questions: Sequence[Question]) -> list[Values]:
        """Every k, per claim."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Values:
        sets = evidence_sets(question)
        unverifiable = question.extra.get("label") == NOT_ENOUGH_INFO
        if not sets and not (self.oracle and unverifiable):
            return NO_EVIDENCE
        if question.ctxs is None:
            return NO_PASSAGES
        return self.at_ks(covering_rank(sets, question.ctxs) if sets else 0, question.ctxs)


METRICS = (
    MetricFamily(
        names=("evidence@k",),
        description="FEVER: share of claims with a complete evidence set among the pages of their first k passages",
        needs="`evidence`, `ctxs`",
        unit="%",
        options=("--k",),
        build=lambda settings, names: Evidence(cutoffs(names)),
    ),
    MetricFamily(
        names=("oracle@k",),
        description="FEVER's oracle accuracy: as evidence@k, but claims without evidence count as found",
        needs="`evidence`, `ctxs`",
        unit="%",
        options=("--k",),
        build=lambda settings, names: Evidence(cutoffs(names), oracle=True),
    ),
)
