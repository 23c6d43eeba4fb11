"""What the student is to learn: the teachers' scores, mixed, and checked before anything is trained on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, FidtoolsError, UsageError
from fidtools.logs import log
from fidtools.typing import Floats

SCORE = "score"
FLAT, FAINT = 0.99, 0.9
"""Share of its passages that a target may effectively hold before it counts as uniform, and before it is warned of:
a retriever that learns targets of 99.9% forgets how to rank (docs/results-retriever.md)."""


def parse_teacher(text: str) -> dict[str, float]:
    """The teachers of `attention` or `attention=0.7,bm25=0.3`, with their weights. Raises UsageError."""
    teachers: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = (piece.strip() for piece in part.partition("="))
        try:
            teachers[name] = float(weight or 1.0)
        except ValueError:
            teachers[name] = 0.0
        if not name or not teachers[name] > 0:
            raise UsageError(f"--teacher {text}: expected NAME or NAME=WEIGHT,NAME=WEIGHT with weights above 0")
    return teachers


def teacher_scores(question: Question, count: int, teachers: Mapping[str, float]) -> Floats:
    """G for the first `count` passages, (n,). One teacher's scores as they are; several: their weighted z-scores.

    Raises DataError for a passage that a teacher has not scored, and for `score`s of different origin.
    """
    passages = (question.ctxs or [])[:count]
    if not passages:
        raise question.error("no passages to learn from", "ctxs", question.id)
    columns = {name: _column(question, passages, name) for name in teachers}
    if len(columns) == 1:
        return next(iter(columns.values()))
    mixed: Floats = sum((teachers[name] * _standardized(column) for name, column in columns.items()), np.zeros(1))
    return mixed / sum(teachers.values())


def _column(question: Question, passages: Sequence[Passage], name: str) -> Floats:
    if name == SCORE:
        _check_origin(question, passages)
    values = [p.score if name == SCORE else p.scores.get(name) for p in passages]
    if None in values:
        place = values.index(None)
        field = f"ctxs[{place}].{'score' if name == SCORE else f'scores.{name}'}"
        raise question.error("missing", field, hint=_missing_hint(passages, name, place))
    column = np.array(values, dtype=np.float64)
    if not np.isfinite(column).all():
        raise question.error("a target must be finite", f"ctxs[].{name}", values)
    return column


def _missing_hint(passages: Sequence[Passage], name: str, place: int) -> str:
    if place > 1:
        return f"only the first {place} passages are scored: --n-passages {place}, or score them all"
    known = sorted({key for passage in passages for key in passage.scores}) or ["none"]
    return f"scores here: {', '.join(known)}; --teacher {SCORE} takes the field `score`, whatever it is"


def _check_origin(question: Question, passages: Sequence[Passage]) -> None:
    """`score` must be one and the same tool's for all passages, where their `scores` tell."""
    origins = [{name for name, value in p.scores.items() if value == p.score} for p in passages if p.scores]
    if origins and (len(origins) < len(passages) or not set.intersection(*origins)):
        hint = "name the teacher: --teacher attention; and score all passages with one tool"
        raise question.error("scores of different tools, on different scales", "ctxs[].score", hint=hint)


def _standardized(column: Floats) -> Floats:
    spread = column.std()
    centred: Floats = column - column.mean()
    return centred / spread if spread > 0 else centred


def effective_number(scores: Floats, temperature: float = 1.0) -> float:
    """exp of the entropy of softmax(scores / temperature): how many passages the target is spread over."""
    shifted = (scores - scores.max()) / temperature
    weights = np.exp(shifted)
    probabilities = weights / weights.sum()
    entropy = -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum()
    return float(np.exp(entropy))


def check_targets(targets: Sequence[Floats], temperature: float | None, path: str) -> None:
    """Refuse targets that teach nothing or that mix scales; the reference trained on them in silence.

    Raises DataError when nearly all of the questions' targets are uniform, and when in most questions passages share
    one and the same score, as unscored ones do that were given a default. With a `temperature`, for targets that are a
    softmax, nearly uniform ones raise FidtoolsError, or are warned of.
    """
    several = [scores for scores in targets if len(scores) > 1]
    if not several:
        raise DataError("every question has a single passage: there is no ranking to learn", path=path)
    constant = sum(np.ptp(scores) == 0 for scores in several)
    if constant > len(several) / 2:
        raise DataError(
            f"uniform targets: all passages have the same score in {constant} of {len(several)} questions",
            path=path,
            hint="was the file scored by the teacher? fidtools score-attn writes `attention`",
        )
    if (repeated := sum(_has_default(scores) for scores in several)) > len(several) / 2:
        raise DataError(
            f"mixed scales: in {repeated} of {len(several)} questions many passages share one score, others do not",
            path=path,
            hint="passages that the teacher has not read got a default somewhere: score them all, or --n-passages",
        )
    if temperature is None:
        return
    _check_flatness(several, temperature, path)


def _check_flatness(targets: Sequence[Floats], temperature: float, path: str) -> None:
    """Warn of targets that prefer little at this temperature; raise FidtoolsError where that is next to nothing."""
    share = float(np.median([effective_number(scores, temperature) / len(scores) for scores in targets]))
    if share <= FAINT:
        return
    spread = float(np.median([scores.std() for scores in targets]))
    problem = f"{path}: nearly uniform targets: the median one is spread over {100 * share:.2f}% of its passages"
    hint = f"the scores differ by {spread:.3g} (standard deviation); try --teacher-temperature {spread:.2g}"
    if share > FLAT:
        raise FidtoolsError(problem, hint=hint)
    log.warning("%s\n  %s", problem, hint)


def _has_default(scores: Floats) -> bool:
    """Whether a fifth of the passages, two at least, share one score beyond all others', which differ from each other.

    Scores of low precision tie too, but anywhere and more than once.
    """
    values, counts = np.unique(scores, return_counts=True)
    if len(values) < 3 or np.count_nonzero(counts > 1) != 1:
        return False
    repeated = int(counts.argmax())
    return repeated in (0, len(values) - 1) and bool(counts[repeated] >= max(2, len(scores) / 5))
