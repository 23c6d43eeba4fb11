"""KILT's scores: answers with provenance, and its ROUGE-L of long answers (Petroni et al. 2021, section 5)."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fidtools.data.records import Question
from fidtools.errors import MissingExtraError
from fidtools.evaluation.evidence import PageSets
from fidtools.evaluation.family import MetricFamily
from fidtools.evaluation.gold import ListedGold
from fidtools.evaluation.measure import NO_PASSAGES, NO_PREDICTION, Summary, Unmeasured, Values
from fidtools.evaluation.predictions import PredictionMeasure
from fidtools.metrics.answers import exact_match, f1

OF_ANSWERS = ("KILT-EM", "KILT-F1")
CALLS_PER_WORD = 10  # upper bound for the recursion in `rouge`


@dataclass
class KiltScores:
    """KILT's scores of provenance, by page: KILT-Rprec and KILT-recall@5, and KILT-EM and KILT-F1, which count an
    answer only where R-precision is 1 (Petroni et al. 2021, section 5).

    A question without a prediction counts as 0 in the latter two, where others have one.
    """

    names: Sequence[str] = ("KILT-Rprec", "KILT-recall@5", *OF_ANSWERS)
    method: str = "KILT, Wikipedia pages"
    unit: str = "%"
    depth: int = field(default=5, init=False)
    _listed: ListedGold = field(default_factory=ListedGold, init=False)
    _answered: Counter[bool] = field(default_factory=Counter, init=False)

    def measure(self, questions: Sequence[Question]) -> list[Values]:
        """All four, per question."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Values:
        sets = kilt_sets(question)
        if not sets:
            return Unmeasured("have no provenance")
        if question.ctxs is None:
            return NO_PASSAGES
        pages = list(dict.fromkeys(str(p.extra.get("wikipedia_id") or p.id) for p in question.ctxs))
        self._listed.compare(sorted(frozenset().union(*sets)), pages)
        precision = r_precision(sets, pages)
        answers, prediction = question.answers or [], question.prediction
        em = f1_score = float("nan")
        self._answered[prediction is not None] += 1
        if prediction is not None:
            em = float(precision == 1 and exact_match(prediction, answers))
            f1_score = f1(prediction, answers) if precision == 1 else 0.0
        values = precision, recall_of_sets(sets, pages, self.depth), em, f1_score
        return {name: 100.0 * value for name, value in zip(self.names, values, strict=True)}

    def finalize(self) -> Summary:
        """Suppresses the scores of answers of a system that only retrieves."""
        if not self._answered[True]:
            suppressed = dict.fromkeys(OF_ANSWERS, f"the questions {NO_PREDICTION.reason}")
            return Summary(suppressed, notes=self._listed.notes())
        missing = self._answered[False]
        note = f"{missing} questions {NO_PREDICTION.reason}: counted as 0 in {', '.join(OF_ANSWERS)}"
        return Summary(zeros=OF_ANSWERS, notes=[*([note] if missing else []), *self._listed.notes()])


def kilt_sets(question: Question) -> PageSets:
    """The distinct sets of Wikipedia pages, one for every gold output with provenance."""
    outputs = question.extra.get("output")
    found = [frozenset(map(str, _wikipedia_ids(output))) for output in outputs] if isinstance(outputs, list) else []
    return [pages for pages in dict.fromkeys(found) if pages]


def _wikipedia_ids(output: Any) -> Iterable[Any]:
    provenance = output.get("provenance") if isinstance(output, dict) else None
    places = provenance if isinstance(provenance, list) else []
    found = (place.get("wikipedia_id") for place in places if isinstance(place, dict))
    return [page for page in found if page is not None]


def r_precision(sets: PageSets, pages: Sequence[str]) -> float:
    """The best over the sets: the share of the first R distinct pages that belong to a set of R pages."""
    return max(len(pages_of_set & set(pages[: len(pages_of_set)])) / len(pages_of_set) for pages_of_set in sets)


def recall_of_sets(sets: PageSets, pages: Sequence[str], k: int) -> float:
    """The share of the sets found among the first k places. A set takes one place: that of the last of its pages.

    A page of no set takes a place of its own, and a set that is found in part the place of its latest page.
    """
    places: list[int | None] = []  # the set at each place, None for a page of no set
    missing = [set(pages_of_set) for pages_of_set in sets]
    for page in pages:
        holding = [number for number, rest in enumerate(missing) if page in rest]
        for number in holding:
            missing[number].discard(page)
            places = [place for place in places if place != number]
            places.append(number)
        if not holding:
            places.append(None)
    return sum(place is not None and not missing[place] for place in places[:k]) / len(sets)


@dataclass
class KiltRouge(PredictionMeasure):
    """KILT's ROUGE-L of long answers: that of the package `rouge`, the best over the answers.

    Words are split at spaces and compared as they are; a prediction without words scores 0.
    """

    names: Sequence[str] = ("KILT-ROUGE-L",)
    method: str = "KILT, the package rouge"
    unit: str = "%"

    def values(self, prediction: str, answers: Sequence[str]) -> dict[str, float]:
        """ROUGE-L. Raises MissingExtraError without the package."""
        return {self.names[0]: 100.0 * max(kilt_rouge_l(prediction, answer) for answer in answers)}


def kilt_rouge_l(prediction: str, answer: str) -> float:
    """The package's F of longest common subsequences, 0 to 1; 0 where it rejects a text as empty."""
    try:
        from rouge import Rouge
    except ImportError as error:
        raise MissingExtraError("KILT's ROUGE-L", "kilt") from error
    with _recursion(len(prediction.split()) + len(answer.split())), contextlib.suppress(ValueError):
        return float(Rouge(metrics=["rouge-l"]).get_scores(prediction, answer, avg=True)["rouge-l"]["f"])
    return 0.0


@contextlib.contextmanager
def _recursion(words: int) -> Iterator[None]:
    """Raise the recursion limit while `rouge` recurses over so many words."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, before + CALLS_PER_WORD * words))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


METRICS = (
    MetricFamily(
        names=("KILT",),
        description="KILT-Rprec, KILT-recall@5, KILT-EM and KILT-F1, by Wikipedia page",
        needs="`output` with provenance, `ctxs`",
        unit="%",
        options=("--questions", "--prediction"),
        build=lambda settings, names: KiltScores(),
    ),
    MetricFamily(
        names=("KILT-ROUGE-L",),
        description="KILT's ROUGE-L of long answers (package `rouge`, words as they are written)",
        needs="`prediction`, `answers`",
        unit="%",
        options=("--prediction",),
        extra="kilt",
        build=lambda settings, names: KiltRouge(),
    ),
)
