"""KILT's scores: answers with provenance, and its ROUGE-L of long answers (Petroni et al. 2021, section 5)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fidtools.data.records import Question
from fidtools.errors import MissingExtraError
from fidtools.evaluation.documents import Sets
from fidtools.evaluation.measures import NO_PASSAGES, PredictionMeasure
from fidtools.evaluation.scores import Finish, Unmeasured
from fidtools.metrics.answers import exact_match, f1

DEPTH = 10  # calls of `rouge` per pair of words, at most


@dataclass
class Kilt:
    """KILT's scores of provenance, by page: KILT-Rprec, KILT-recall@5, and KILT-EM and KILT-F1, which count an answer
    only where the R-precision is 1 (Petroni et al. 2021, section 5).
    """

    names: Sequence[str] = ("KILT-Rprec", "KILT-recall@5", "KILT-EM", "KILT-F1")
    by: str = "KILT, Wikipedia pages"
    unit: str = "%"
    depth: int = field(default=5, init=False)

    def measure(self, questions: Sequence[Question]) -> list[dict[str, float] | Unmeasured]:
        """All four, per question."""
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> dict[str, float] | Unmeasured:
        sets = kilt_sets(question)
        if not sets:
            return Unmeasured("have no provenance")
        if question.ctxs is None:
            return NO_PASSAGES
        pages = list(dict.fromkeys(str(p.extra.get("wikipedia_id", p.id)) for p in question.ctxs))
        whole = r_precision(sets, pages)
        answers, prediction = question.answers or [], question.prediction
        em = f1_score = float("nan")  # a system that retrieves only has neither
        if prediction is not None:
            em = float(whole == 1 and exact_match(prediction, answers))
            f1_score = f1(prediction, answers) if whole == 1 else 0.0
        values = whole, recall_of_sets(sets, pages, self.depth), em, f1_score
        return {name: 100.0 * value for name, value in zip(self.names, values, strict=True)}

    def finish(self) -> Finish:
        """Nothing to add."""
        return Finish()


def kilt_sets(question: Question) -> Sets:
    """The distinct sets of Wikipedia pages, one for every gold output with provenance."""
    outputs = question.extra.get("output")
    found = [frozenset(map(str, _wikipedia_ids(output))) for output in outputs] if isinstance(outputs, list) else []
    return [pages for pages in dict.fromkeys(found) if pages]


def _wikipedia_ids(output: Any) -> Iterable[Any]:
    provenance = output.get("provenance") if isinstance(output, dict) else None
    return [place["wikipedia_id"] for place in provenance or () if "wikipedia_id" in place]


def r_precision(sets: Sets, pages: Sequence[str]) -> float:
    """The best over the sets: which share of the first R distinct pages belongs to a set of R pages."""
    return max(len(pages_of_set & set(pages[: len(pages_of_set)])) / len(pages_of_set) for pages_of_set in sets)


def recall_of_sets(sets: Sets, pages: Sequence[str], k: int) -> float:
    """The share of the sets found among the first k, a set taking one place: that of the last of its pages."""
    places: list[bool | int] = []  # True: a whole set; False: a page of none; n: the part of set n seen so far
    missing = [set(pages_of_set) for pages_of_set in sets]
    for page in pages:
        holding = [number for number, rest in enumerate(missing) if page in rest]
        for number in holding:
            missing[number].discard(page)
            places = [place for place in places if place is True or place is False or place != number]
            places.append(number if missing[number] else True)
        if not holding:
            places.append(False)
    return sum(place is True for place in places[:k]) / len(sets)


@dataclass
class KiltRouge(PredictionMeasure):
    """The ROUGE-L by which KILT judges long answers: that of the package `rouge`, the best over the answers.

    Its words are parted at spaces, as they are written; a prediction without words is 0.
    """

    names: Sequence[str] = ("KILT-ROUGE-L",)
    by: str = "KILT, the package rouge"
    unit: str = "%"

    def values(self, prediction: str, answers: Sequence[str]) -> dict[str, float]:
        """ROUGE-L. Raises MissingExtraError without the package."""
        return {self.names[0]: 100.0 * max(rouge_l(prediction, answer) for answer in answers)}


def rouge_l(prediction: str, answer: str) -> float:
    """The package's F of the longest common subsequences (0 to 1); 0 where it refuses a text as empty."""
    try:
        from rouge import Rouge
    except ImportError as error:
        raise MissingExtraError("KILT's ROUGE-L", "kilt") from error
    with _recursion(len(prediction.split()) + len(answer.split())), contextlib.suppress(ValueError):
        return float(Rouge(metrics=["rouge-l"]).get_scores(prediction, answer, avg=True)["rouge-l"]["f"])
    return 0.0


@contextlib.contextmanager
def _recursion(words: int) -> Iterator[None]:
    """Room for a recursion over the words of two texts, which `rouge` needs."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, before + DEPTH * words))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
