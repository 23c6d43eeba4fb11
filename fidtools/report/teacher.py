"""What each iteration's teacher would teach: the figures of `teacher-report`, in words, and how its scores fall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fidtools.data.read import read_questions
from fidtools.data.records import Passage, Question
from fidtools.evaluation.registry import agreements
from fidtools.evaluation.scores import collect
from fidtools.evaluation.significance import bootstrap_interval
from fidtools.metrics.answer_match import AnswerMatcher
from fidtools.report.sources import iteration_folders
from fidtools.retriever.teacher_report import report
from fidtools.training.targets import parse_teacher

TEACHER = "attention"
SPLITS = ("dev", "train")
DRAWN_QUESTIONS = 2000
POINTS = 1500
GROUPS = 10
CUTOFFS = (1, 5, 20)
UNINFORMATIVE_AUC, WEAK_AUC, STRONG_CORRELATION, NEARLY_ALL = 0.55, 0.7, 0.3, 0.9
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """Scored passages: the teacher's and the earlier score as z-scores within the question, words, earlier rank."""

    score: Floats
    words: Floats
    rank: Floats
    earlier: Floats
    answer: NDArray[np.bool_]


def teacher_sections(run: Path, temperature: dict[str, float]) -> list[dict[str, Any]]:
    """The teacher of every iteration that has a file scored by attention (the dev questions', else the training ones').

    `temperature` is what the next retriever's training divides the scores by, by the iteration's folder name.
    """
    found = []
    for folder in iteration_folders(run):
        path = next((p for p in (folder / f"{split}.scored.jsonl" for split in SPLITS) if p.is_file()), None)
        if path is not None and _scored_by_attention(path):
            found.append({"iteration": folder.name, **_section(path, temperature.get(folder.name, 1.0))})
    return found


def _scored_by_attention(path: Path) -> bool:
    """Whether the first question's passages have its score: other teachers' scores are not described."""
    questions = list(islice(read_questions(path), 1))
    return any(TEACHER in passage.scores for question in questions for passage in question.ctxs or ())


def _section(path: Path, temperature: float) -> dict[str, Any]:
    questions = list(islice(read_questions(path), DRAWN_QUESTIONS))
    scored = max(sum(TEACHER in passage.scores for passage in question.ctxs or ()) for question in questions)
    figures = report(path, parse_teacher(TEACHER), scored, temperature).to_json()
    questions = [replace(question, ctxs=(question.ctxs or [])[:scored]) for question in questions]
    earlier = earlier_score(questions)
    section = {"file": f"{path.parent.name}/{path.name}", "teacher": TEACHER, "divided_by": temperature, **figures}
    section |= {"warnings": warnings(figures), "earlier": earlier}
    if earlier is None:
        return section
    points = collected_points(questions, earlier)
    agreement = collect(questions, agreements(TEACHER, earlier, CUTOFFS)).metrics()
    section["agreement"] = {
        name: {"value": metric.value, "interval": metric.interval, "unit": metric.unit, "by": metric.by}
        for name, metric in agreement.items()
    }
    section["by_length"] = grouped(points.words, points.score)
    section["by_rank"] = grouped(points.rank, points.score)
    section["scatter"] = drawn_points(points)
    return section


def earlier_score(questions: Sequence[Question]) -> str | None:
    """The name of the score by which the passages were retrieved before the teacher scored them."""
    names = {name for question in questions[:1] for passage in question.ctxs or () for name in passage.scores}
    others = sorted(name for name in names if not name.startswith(TEACHER))
    return next((name for name in ("previous", "dense", "bm25", *others) if name in others), None)


def collected_points(questions: Sequence[Question], earlier: str) -> Points:
    """Every passage of the questions that has both scores."""
    parts = [np.zeros((5, 0))]
    for question in questions:
        passages = [p for p in question.ctxs or () if TEACHER in p.scores and earlier in p.scores]
        if len(passages) < 2:
            continue
        score, before = (_standardised(passages, name) for name in (TEACHER, earlier))
        rank = np.argsort(np.argsort(-before, kind="stable")) + 1
        hits = AnswerMatcher(question.answers or ()).hits([p.text for p in passages])
        words = [len(p.text.split()) for p in passages]
        parts.append(np.array([score, words, rank, before, hits], dtype=np.float64))
    columns = np.concatenate(parts, axis=1)
    return Points(columns[0], columns[1], columns[2], columns[3], columns[4] > 0)


def _standardised(passages: Sequence[Passage], name: str) -> Floats:
    values = np.array([p.scores[name] for p in passages])
    spread = values.std()
    standardised: Floats = (values - values.mean()) / (spread if spread > 0 else 1.0)
    return standardised


def grouped(by: Floats, values: Floats) -> list[dict[str, Any]]:
    """Means of `values` over groups of about equal size by `by`, ascending, with bootstrap intervals."""
    if not len(by):
        return []
    edges = np.unique(np.quantile(by, np.linspace(0, 1, GROUPS + 1)))
    group = np.clip(np.searchsorted(edges, by, side="right") - 1, 0, max(len(edges) - 2, 0))
    return list(_means(by, values, group))


def _means(by: Floats, values: Floats, group: NDArray[np.intp]) -> Iterator[dict[str, Any]]:
    for number in np.unique(group):
        rows = group == number
        interval = bootstrap_interval(values[rows], 200)
        yield {
            "from": float(by[rows].min()),
            "to": float(by[rows].max()),
            "mean": float(values[rows].mean()),
            "interval": interval,
            "n": int(rows.sum()),
        }


def drawn_points(points: Points) -> list[list[float]]:
    """At most `POINTS` passages, evenly spaced over the file: [earlier z-score, teacher's z-score, holds an answer]."""
    step = max(1, -(-len(points.score) // POINTS))
    drawn = np.stack([points.earlier, points.score, points.answer])[:, ::step]
    return [[round(x, 3), round(y, 3), int(hit)] for x, y, hit in drawn.T]


def warnings(figures: dict[str, Any]) -> list[str]:
    """What is worth a second look, one sentence each."""
    return [text for holds, text in _findings(figures) if holds]


def _findings(figures: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    questions, passages = figures["questions"], figures["passages"]
    uniform, effective = figures["uniform"], figures["effective"]
    yield bool(uniform), f"{uniform} of {questions} questions have the same score on every passage and teach nothing."
    yield (
        passages > 1 and effective > NEARLY_ALL * passages,
        f"The target is spread over {effective:.1f} of {passages:.1f} passages: it prefers almost nothing. "
        "A lower --teacher-temperature sharpens it.",
    )
    yield (
        passages > 2 and effective < 1.05,
        "The target puts nearly all probability on one passage: the retriever learns a label, not a ranking. "
        "A higher --teacher-temperature softens it.",
    )
    for name, what in (("auc_gold", "gold passages"), ("auc_answer", "passages that hold an answer")):
        value = figures[name]
        if value is not None and value < WEAK_AUC:
            degree = "hardly tells" if value < UNINFORMATIVE_AUC else "tells only weakly"
            yield True, f"The teacher {degree} {what} from the others (AUC {value:.2f}; 0.5 is chance)."
    length, rank = figures["length"], figures["rank"]
    longer = "longer" if (length or 0) > 0 else "shorter"
    yield (
        abs(length or 0) > STRONG_CORRELATION,
        f"The teacher prefers {longer} passages (rank correlation with length {length or 0:+.2f}).",
    )
    yield (
        abs(rank or 0) > 2 * STRONG_CORRELATION,
        f"The scores mostly repeat the earlier ranking (rank correlation {-(rank or 0):+.2f}).",
    )
