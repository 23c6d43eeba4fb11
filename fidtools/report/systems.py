"""The questions of one system: what is measured on all of them, and what of each is kept to be looked at."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fidtools.data.grades import gold_ids
from fidtools.data.gzip_names import is_gzip
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, FidtoolsError
from fidtools.evaluation.completion import Inputs
from fidtools.evaluation.family import MetricSettings
from fidtools.evaluation.registry import measures
from fidtools.evaluation.scores import Scores, collect
from fidtools.logs import track
from fidtools.metrics.answer_match import AnswerMatcher
from fidtools.report.sources import Source

MOST_QUESTIONS = 100_000
"""More rows than this, a browser does not search and sort while one types."""
PEEKED = 100
LONGEST_LIST = 1000
Floats = NDArray[np.float64]


class Shown(NamedTuple):
    """A passage of a question as it is shown: the number of its text, its scores by name, whether it is relevant."""

    text: int
    scores: dict[str, float]
    answer: bool
    gold: bool


@dataclass(slots=True)
class Row:
    """What is kept of a question of one system."""

    id: str
    question: str
    answers: list[str]
    prediction: str | None
    log_probability: float | None
    passages: list[Shown]
    retrieved: int


class Texts:
    """Titles and texts of passages, each once, under the number of its first appearance."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str]] = []
        self._numbers: dict[tuple[str, str, str], int] = {}

    def number(self, passage: Passage) -> int:
        """The passage's number."""
        key = passage.id or "", passage.title, passage.text
        if key not in self._numbers:
            self._numbers[key] = len(self.entries)
            self.entries.append(key)
        return self._numbers[key]


@dataclass
class System:
    """A system's measured values and its rows, in the order of its file."""

    source: Source
    scores: Scores
    rows: list[Row] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the system is called."""
        return self.source.name

    def ranks(self, prefix: str = "R@") -> list[int | None]:
        """The rank, from 1, of each question's first passage with an answer ("gold-R@": gold passage), if any."""
        ks = recall_cutoffs(self.scores, prefix)
        if not ks:
            return [None] * len(self.scores.ids)
        hits = np.stack([self.scores.values[f"{prefix}{k}"] > 0 for k in ks])  # (ks, questions); NaN is no hit
        first = np.argmax(hits, axis=0)
        return [ks[at] if hits[at, i] else None for i, at in enumerate(first)]

    def has_gold(self) -> list[bool]:
        """Which questions have a gold passage, retrieved or not."""
        ks = recall_cutoffs(self.scores, "gold-R@")
        if not ks:
            return [False] * len(self.scores.ids)
        return [bool(measured) for measured in ~np.isnan(self.scores.values[f"gold-R@{ks[0]}"])]


def recall_cutoffs(scores: Scores, prefix: str = "R@") -> list[int]:
    """The k of every measured R@k, ascending."""
    return sorted(int(name.removeprefix(prefix)) for name in scores.values if name.startswith(prefix))


def measure_system(
    source: Source, texts: Texts, settings: MetricSettings, n_passages: int, wanted: frozenset[str] | None = None
) -> System:
    """Read a system's file once: every metric of the profile, recall at every k, and the rows to show.

    `wanted` are the ids of the questions to keep (default: all). Raises DataError for bad lines, FidtoolsError for more
    than `MOST_QUESTIONS`.
    """
    inputs = Inputs()
    _, lines = inputs.read(source.path)
    questions = chosen(lines, wanted)
    first = list(islice(questions, PEEKED))
    longest = max((len(question.ctxs or ()) for question in first), default=0)
    rows: list[Row] = []

    def kept() -> Iterator[Question]:
        for question in track(chain(first, questions), f"reading {source.path}"):
            rows.append(make_row(question, texts, n_passages))
            if len(rows) > MOST_QUESTIONS:
                raise too_many(source.path, f"more than {MOST_QUESTIONS:,}")
            yield question

    ks = range(1, min(longest, LONGEST_LIST) + 1) or (1,)
    scores = collect(kept(), measures(settings, ks=ks))
    scores.notes += inputs.notes()
    if not rows:
        raise DataError("none of the sampled questions is in it", path=source.path)
    return System(source, scores, rows)


def chosen(questions: Iterable[Question], wanted: frozenset[str] | None) -> Iterator[Question]:
    """The questions whose ids are wanted."""
    return (question for question in questions if wanted is None or question.id in wanted)


def make_row(question: Question, texts: Texts, n_passages: int) -> Row:
    """What is kept of a question: its first passages, and whether they hold an answer."""
    passages = question.ctxs or []
    shown = passages[:n_passages]
    hits = AnswerMatcher(question.answers or ()).hits([passage.text for passage in shown])
    relevant = gold_ids(question) or set()
    probability = question.extra.get("log_probability")
    return Row(
        id=question.id,
        question=question.question,
        answers=question.answers or [],
        prediction=question.prediction,
        log_probability=probability if isinstance(probability, float) else None,
        passages=[
            Shown(texts.number(passage), named_scores(passage), hit, passage.id in relevant)
            for passage, hit in zip(shown, hits, strict=True)
        ],
        retrieved=len(passages),
    )


def named_scores(passage: Passage) -> dict[str, float]:
    """Every score of a passage by name; `score` only where it is none of them."""
    if passage.score is None or passage.score in passage.scores.values():
        return passage.scores
    return {"score": passage.score, **passage.scores}


def refuse_huge(path: Path) -> None:
    """Refuse a file that, by its size and its first lines, holds far more questions than a page can show.

    Raises FidtoolsError.
    """
    if is_gzip(path) or not path.is_file():
        return
    with path.open("rb") as lines:
        lengths = [len(line) for line in islice(lines, PEEKED)]
    about = path.stat().st_size * len(lengths) // max(1, sum(lengths))
    if about > 2 * MOST_QUESTIONS:
        raise too_many(path, f"about {about:,}")


def too_many(path: Path, count: str) -> FidtoolsError:
    """The error about a file of too many questions."""
    hint = f"--sample 10000 reports the same 10,000 questions of every file (at most {MOST_QUESTIONS:,})"
    return FidtoolsError(f"{path}: {count} questions are too many for one page", hint=hint)


def sample_ids(path: Path, count: int) -> frozenset[str]:
    """The ids of `count` questions of a file: those with the smallest hashes, the same in every file of a run."""
    ids = (question.id for question in track(Inputs().read(path)[1], "sampling"))
    return frozenset(heapq.nsmallest(count, ids, key=lambda name: hashlib.sha256(name.encode()).digest()))
