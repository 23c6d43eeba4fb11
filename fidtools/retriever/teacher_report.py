"""Diagnostics of a teacher's scores, before a retriever is trained on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidtools.data.files import PathLike
from fidtools.data.grades import gold_ids
from fidtools.data.read import read_questions
from fidtools.data.records import Passage, Question
from fidtools.metrics.labels import Labels
from fidtools.metrics.rank_correlation import spearman
from fidtools.metrics.relevance import relevance
from fidtools.training.likelihoods import likelihoods, require_likelihoods
from fidtools.training.source_passage import SourcePassage
from fidtools.training.targets import perplexity, teacher_scores, without_source
from fidtools.typing import Floats

TEMPERATURES = tuple(float(f"{10 ** (k / 4):.2g}") for k in range(-12, 9))
"""0.001 … 100, four per decade."""
LEAST_AUC = 0.55
"""Below it a teacher is as good as chance (0.5) for what a retriever could learn from it."""


def auc(scores: Floats, relevant: NDArray[np.bool_]) -> float | None:
    """The share of (relevant, irrelevant) pairs that `scores` (n,) order correctly; None without pairs.

    Ties count half.
    """
    positive, negative = scores[relevant], scores[~relevant]
    if not len(positive) or not len(negative):
        return None
    ascending = np.sort(negative)
    below = np.searchsorted(ascending, positive, "left")
    up_to = np.searchsorted(ascending, positive, "right")
    return float((below + up_to).sum() / 2 / (len(positive) * len(negative)))


def negative_log_likelihood(scores: Floats, relevant: NDArray[np.bool_], temperature: float) -> float:
    """−log of the probability that softmax(scores / temperature) gives to the relevant passages."""
    scaled = scores / temperature
    return float(np.logaddexp.reduce(scaled) - np.logaddexp.reduce(scaled[relevant]))


@dataclass
class Report:
    """Means over questions; None where no question defines a figure. Text lengths are in characters.

    `effective` is the mean effective number of passages of softmax(G / temperature), `uniform` the number of questions
    whose scores are all equal. `auc_*` is how well the scores separate passages with an answer, and gold ones, from the
    others. `length` and `rank` are Spearman correlations of the scores with the passages' length and with their rank by
    `previous` or bm25 score (negative: passages ranked first score high). `temperature` is the one under which the
    target puts most probability on gold passages, else on passages with an answer (`temperature_by`).
    """

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


def problems(found: Report) -> Iterator[str]:
    """Why a retriever should not be trained on these scores: they do not separate relevant passages from others."""
    for what, value in (("passages with an answer", found.auc_answer), ("gold passages", found.auc_gold)):
        if value is not None and value < LEAST_AUC:
            hint = "train the teacher longer or on other passages before a retriever is trained on its scores"
            yield f"the scores separate {what} from others no better than chance (AUC {value:.2f})\n  {hint}"


@dataclass(frozen=True)
class _QuestionFigures:
    """The figures of one question; None where it does not define one. Its labels (n,) by kind."""

    scores: Floats
    effective: float
    length: float | None
    rank: float | None
    labels: dict[Labels, NDArray[np.bool_]]


def report(
    path: PathLike,
    teachers: dict[str, float],
    n_passages: int | None,
    temperature: float = 1.0,
    probabilities: bool = False,
    source: SourcePassage = "keep",
) -> Report:
    """The report on a scored file; with `probabilities` on exp(scores).

    `source` is what becomes of the passage that a synthetic question was written from. Raises DataError for a passage
    that a teacher has not scored, and for `probabilities` that are infinite, or 0 for most questions.
    """
    found = []
    for question in read_questions(path):
        if source == "drop":
            without_source(question)
        scores = teacher_scores(question, n_passages or len(question.ctxs or []), teachers, source)
        found.append(_figures(question, likelihoods(scores, path) if probabilities else scores, temperature))
    if probabilities:
        require_likelihoods([item.scores for item in found], path)
    best, by = _best_temperature_of(found)
    return Report(
        questions=len(found),
        passages=_mean([len(item.scores) for item in found]) or 0.0,
        effective=_mean([item.effective for item in found]) or 0.0,
        uniform=sum(len(item.scores) > 1 and float(np.ptp(item.scores)) == 0.0 for item in found),
        auc_answer=_mean([auc(item.scores, item.labels["answer"]) for item in found if "answer" in item.labels]),
        auc_gold=_mean([auc(item.scores, item.labels["gold"]) for item in found if "gold" in item.labels]),
        length=_mean([item.length for item in found]),
        rank=_mean([item.rank for item in found]),
        temperature=best,
        temperature_by=by,
    )


def _figures(question: Question, scores: Floats, temperature: float) -> _QuestionFigures:
    passages = (question.ctxs or [])[: len(scores)]
    lengths = np.array([float(len(passage.text)) for passage in passages])
    return _QuestionFigures(
        scores=scores,
        effective=perplexity(scores, temperature),
        length=_correlation(scores, lengths),
        rank=_correlation_with_rank(scores, passages),
        labels={kind: labels[: len(scores)] for kind, labels in _labels(question).items()},
    )


def _correlation_with_rank(scores: Floats, passages: Sequence[Passage]) -> float | None:
    before = [passage.scores.get("previous", passage.scores.get("bm25")) for passage in passages]
    if None in before:
        return None
    return _correlation(scores, -np.array(before, dtype=np.float64))  # passages with equal scores share their mean rank


def _best_temperature_of(found: Sequence[_QuestionFigures]) -> tuple[float | None, Labels | None]:
    """The best temperature by gold labels, else by answers, and by which of them."""
    kinds: tuple[Labels, ...] = ("gold", "answer")
    for kind in kinds:
        labelled = [(item.scores, item.labels[kind]) for item in found if kind in item.labels]
        if separable := [(scores, marks) for scores, marks in labelled if marks.any() and not marks.all()]:
            return best_temperature(separable), kind
    return None, None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _labels(question: Question) -> dict[Labels, NDArray[np.bool_]]:
    kinds: list[Labels] = []
    if gold_ids(question) is not None:
        kinds.append("gold")
    if question.answers:
        kinds.append("answer")
    return {kind: relevance(question, kind) for kind in kinds}


def _correlation(a: Floats, b: Floats) -> float | None:
    """Spearman's correlation; None where one side is constant."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearman(a[None], b[None])[0])


def best_temperature(judged: Sequence[tuple[Floats, NDArray[np.bool_]]]) -> float:
    """The one of `TEMPERATURES` with the least mean `negative_log_likelihood`."""

    def loss(temperature: float) -> float:
        return float(np.mean([negative_log_likelihood(scores, marks, temperature) for scores, marks in judged]))

    return min(TEMPERATURES, key=loss)


def table(report: Report) -> Iterable[tuple[str, str]]:
    """The lines of the report for people: name and value."""

    def number(value: float | None, digits: int = 3) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    yield "questions", str(report.questions)
    yield "passages per question", number(report.passages, 1)
    yield "effective number of passages of the target", number(report.effective, 1)
    yield "questions with a uniform target", str(report.uniform)
    yield "AUC against has-answer", number(report.auc_answer)
    yield "AUC against gold passages", number(report.auc_gold)
    yield "correlation with passage length", number(report.length)
    yield "correlation with previous rank", number(report.rank)
    by = f" (by {report.temperature_by})" if report.temperature_by else ""
    yield "best temperature" + by, "–" if report.temperature is None else f"{report.temperature:g}"
    if report.temperature is not None:
        yield "option of train-retriever", f"--teacher-temperature {report.temperature:g}"
