"""The lines of a run: each question and each of its passages once, with scores that keep the order of the list."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fidtools.data.distinct_ids import distinct_questions, require_one_text
from fidtools.data.records import Passage, Question
from fidtools.formats.writer_helpers import is_one_word, required
from fidtools.logs import log

NOTES = {
    "empty": "questions without passages, which a run cannot name: %d",
    "repeated": "passages left out because the same id is higher in their list: %d",
    "tied": "lists with equal scores, lowered by the smallest step so that the order is kept: %d",
    "unsorted": "lists that are not in the order of their scores: %d; their order is kept and scores are lowered"
    " (--score score sorts them by their scores)",
}


class RunLine(NamedTuple):
    """A passage of a question with its rank from 1; scores are strictly descending in single precision."""

    question: Question
    passage: str
    rank: int
    score: float


def run_lines(questions: Iterable[Question]) -> Iterator[RunLine]:
    """Every passage of every question, in the order of the lists. Warns of what a run cannot hold, with counts.

    Raises DataError for a missing id or score, an id with white space, a question id that occurs twice, and an id that
    has two texts in a list.
    """
    counts: Counter[str] = Counter()
    for question in distinct_questions(questions):
        one_word(question.id, "id", question)
        passages = _first_of_each_id(question)
        scores = [float(passage.score or 0) for passage in passages]
        written = _written_scores(scores, question)
        counts["empty"] += not passages
        counts["repeated"] += len(question.ctxs or ()) - len(passages)
        is_unsorted = any(before < score for before, score in pairwise(scores))
        counts["unsorted"] += is_unsorted
        counts["tied"] += not is_unsorted and written != scores
        for rank, (passage, score) in enumerate(zip(passages, written, strict=True), 1):
            yield RunLine(question, str(passage.id), rank, score)
    for name, note in NOTES.items():
        if counts[name]:
            log.warning(note, counts[name])


def one_word(text: str, name: str, question: Question) -> str:
    """The text. Raises DataError where it cannot be a column of a run."""
    if not is_one_word(text):
        raise question.error("must be one word in this format", name, text)
    return text


def _first_of_each_id(question: Question) -> list[Passage]:
    """The passages, which all must have an id and a score, without those whose id is higher in the list."""
    found: dict[str, Passage] = {}
    for passage in question.ctxs or ():
        required(passage, "score", question)
        found.setdefault(one_word(required(passage, "id", question), "ctxs.id", question), passage)
    require_one_text(question)
    return list(found.values())


def strictly_descending(scores: Sequence[float]) -> list[float]:
    """The scores; one that is not below the one before it becomes the next lower number in single precision.

    trec_eval compares in single precision, and orders equal scores by id (`comp_sim_docno` in form_res_rels.c).

    >>> strictly_descending([2.0, 2.0, 1.0])
    [2.0, 1.9999998807907104, 1.0]
    """
    with np.errstate(over="ignore"):
        singles = np.asarray(scores, np.float64).astype(np.float32)
    if (singles[1:] < singles[:-1]).all():
        return list(scores)
    found: list[float] = []
    before = math.inf
    for score, single in zip(scores, singles.tolist(), strict=True):
        is_below = not found or single < before
        before = single if is_below else _next_below(before)
        found.append(score if is_below else before)
    return found


def _next_below(value: float) -> float:
    """The next lower number in single precision, without those beside 0 that fast arithmetic takes for 0."""
    below, least = float(np.nextafter(np.float32(value), np.float32(-np.inf))), float(np.finfo(np.float32).tiny)
    if 0 < abs(below) < least:
        return 0.0 if below > 0 else -least
    return below


def _written_scores(scores: Sequence[float], question: Question) -> list[float]:
    """`strictly_descending`. Raises DataError where no number is left below a score."""
    written = strictly_descending(scores)
    if not np.isfinite(written).all():
        hint = "multiply the scores by a number below 1"
        raise question.error(
            "too low for single precision, in which runs are compared", "ctxs.score", min(scores), hint
        )
    return written
