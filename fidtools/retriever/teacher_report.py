"""What a teacher's scores are worth before anything is trained on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidtools.data.files import PathLike
from fidtools.data.read import read_questions
from fidtools.data.records import Question
from fidtools.metrics.rank_correlation import spearman
from fidtools.metrics.relevance import Labels, relevance
from fidtools.retriever.targets import perplexity, teacher_scores
from fidtools.typing import Floats

TEMPERATURES = tuple(float(f"{10 ** (k / 4):.2g}") for k in range(-12, 9))
"""0.001 … 100, four a decade."""


def auc(scores: Floats, relevant: NDArray[np.bool_]) -> float | None:
    """The share of (relevant, other) pairs that the scores put in the right order, ties as half; None without both."""
    good, bad = scores[relevant], scores[~relevant]
    if not len(good) or not len(bad):
        return None
    ordered = np.sort(bad)
    below = np.searchsorted(ordered, good, "left")
    upto = np.searchsorted(ordered, good, "right")
    return float((below + upto).sum() / 2 / (len(good) * len(bad)))


def lost_probability(scores: Floats, relevant: NDArray[np.bool_], temperature: float) -> float:
    """−log of the share of softmax(scores / temperature) that falls on relevant passages."""
    scaled = scores / temperature
    return float(np.logaddexp.reduce(scaled) - np.logaddexp.reduce(scaled[relevant]))


@dataclass
class Report:
    """Means over questions; a figure that no question allows is None. Text lengths are in characters."""

    questions: int = 0
    passages: float = 0.0
    effective: float = 0.0
    uniform: int = 0
    auc_answer: float | None = None
    auc_gold: float | None = None
    length: float | None = None
    rank: float | None = None
    temperature: float | None = None
    temperature_by: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The figures by name."""
        return dict(vars(self))


def report(path: PathLike, teachers: dict[str, float], n_passages: int | None, temperature: float = 1.0) -> Report:
    """Look through a scored file.

    `effective` is the mean effective number of passages of softmax(G / temperature). `auc_*` say how well the scores
    tell passages with an answer, and gold ones, from the others. `length` and `rank` are Spearman correlations of the
    scores with the passages' length and with their place by `previous` or bm25 score (negative: early ones score high).
    `temperature` is the one under which the target puts most probability on gold passages, else on answers' passages.
    """
    found = Report()
    columns: dict[str, list[float]] = {
        name: [] for name in ("passages", "effective", "answer", "gold", "length", "rank")
    }
    judged: dict[str, list[tuple[Floats, NDArray[np.bool_]]]] = {"gold": [], "answer": []}
    for question in read_questions(path):
        scores = teacher_scores(question, n_passages or len(question.ctxs or []), teachers)
        passages = (question.ctxs or [])[: len(scores)]
        found.questions += 1
        found.uniform += len(scores) > 1 and float(np.ptp(scores)) == 0.0
        columns["passages"].append(len(scores))
        columns["effective"].append(perplexity(scores, temperature))
        lengths = np.array([float(len(passage.text)) for passage in passages])
        _note(columns["length"], _correlation(scores, lengths))
        before = [passage.scores.get("previous", passage.scores.get("bm25")) for passage in passages]
        if None not in before:
            order = np.argsort(np.argsort(-np.array(before, dtype=np.float64), kind="stable"))
            _note(columns["rank"], _correlation(scores, order.astype(np.float64)))
        for kind, labels in _labels(question).items():
            marks = labels[: len(scores)]
            _note(columns[kind], auc(scores, marks))
            if marks.any() and not marks.all():
                judged[kind].append((scores, marks))
    means = {name: float(np.mean(values)) if values else None for name, values in columns.items()}
    found.passages, found.effective = means["passages"] or 0.0, means["effective"] or 0.0
    found.auc_answer, found.auc_gold = means["answer"], means["gold"]
    found.length, found.rank = means["length"], means["rank"]
    for kind in ("gold", "answer"):
        if judged[kind]:
            found.temperature, found.temperature_by = best_temperature(judged[kind]), kind
            break
    return found


def _labels(question: Question) -> dict[str, NDArray[np.bool_]]:
    kinds: list[Labels] = []
    if isinstance(question.extra.get("gold"), list):
        kinds.append("gold")
    if question.answers:
        kinds.append("answer")
    return {kind: relevance(question, kind) for kind in kinds}


def _note(values: list[float], value: float | None) -> None:
    if value is not None:
        values.append(value)


def _correlation(a: Floats, b: Floats) -> float | None:
    """Spearman's, where both vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearman(a[None], b[None])[0])


def best_temperature(judged: Sequence[tuple[Floats, NDArray[np.bool_]]]) -> float:
    """Of `TEMPERATURES`, the one with the least mean `lost_probability`."""

    def lost(temperature: float) -> float:
        return float(np.mean([lost_probability(scores, marks, temperature) for scores, marks in judged]))

    return min(TEMPERATURES, key=lost)


def table(report: Report) -> Iterable[tuple[str, str]]:
    """The report's lines for people: what, and how much."""

    def number(value: float | None, digits: int = 3) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    yield "questions", str(report.questions)
    yield "passages a question", number(report.passages, 1)
    yield "effective number of passages of the target", number(report.effective, 1)
    yield "questions with a uniform target", str(report.uniform)
    yield "AUC against has-answer", number(report.auc_answer)
    yield "AUC against gold passages", number(report.auc_gold)
    yield "correlation with a passage's length", number(report.length)
    yield "correlation with its rank before", number(report.rank)
    by = f" (by {report.temperature_by})" if report.temperature_by else ""
    yield "best temperature" + by, "–" if report.temperature is None else f"{report.temperature:g}"
