"""Training targets: the scores of one teacher or a mixture of several, checked before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fidtools.data.grades import gold_ids
from fidtools.data.number_text import number_of
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, FidtoolsError, UsageError, shorten
from fidtools.logs import log
from fidtools.training.source_passage import SourcePassage
from fidtools.typing import Floats

SCORE = "score"
QUESTION_LIKELIHOOD = "question-likelihood"
LEAST_WEIGHT = 1e-6  # of a teacher in a mixture; the largest is its inverse
MAX_UNIFORM_SHARE, WARN_UNIFORM_SHARE = 0.99, 0.9
"""Largest perplexity of a target, as a share of its passages, before training is refused and before a warning.

Nearly uniform targets make a retriever forget how to rank: see docs/results-retriever.md, where it was 99.9%.
"""


def parse_teacher(text: str, option: str = "--teacher") -> dict[str, float]:
    """The names and weights in `attention` or `attention=0.7,bm25=0.3`, each once. Raises UsageError for others."""
    teachers: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = (piece.strip() for piece in part.partition("="))
        if name in teachers:
            raise UsageError(f"{option} {shorten(text)}: {name} is named twice")
        try:
            teachers[name] = number_of(weight or "1")
        except ValueError:
            teachers[name] = 0.0
        if not name or not LEAST_WEIGHT <= teachers[name] <= 1 / LEAST_WEIGHT:
            raise UsageError(f"{option} {shorten(text)}: expected NAME or NAME=WEIGHT,NAME=WEIGHT with weights above 0")
    return teachers


def teacher_scores(
    question: Question, count: int, teachers: Mapping[str, float], source: SourcePassage = "keep"
) -> Floats:
    """G of the first `count` passages, (n,): one teacher's scores as they are, or the weighted mean of z-scores.

    With `source` "cap" the likelihoods of a synthetic question are capped (see `SourcePassage`). Raises DataError for a
    passage without a teacher's score, and for values of `score` by different tools.
    """
    passages = (question.ctxs or [])[:count]
    if not passages:
        raise question.error("question without passages", "ctxs", question.id)
    columns = {name: _scores_by(question, passages, name) for name in teachers}
    if source == "cap":
        columns = {name: _capped(question, passages, name, column) for name, column in columns.items()}
    if len(columns) == 1:
        return next(iter(columns.values()))
    mixed: Floats = sum((teachers[name] * _z_scores(column) for name, column in columns.items()), np.zeros(1))
    return mixed / sum(teachers.values())


def without_source(question: Question) -> None:
    """Remove the passages that a synthetic question was written from. Raises DataError when no passage is left."""
    if written_from := source_ids(question):
        question.ctxs = [passage for passage in question.ctxs or [] if passage.id not in written_from]
        if not question.ctxs:
            hint = "leave out `source_passage` drop, or rank more passages"
            raise question.error("no passage but the one that the question was written from", "ctxs", hint=hint)


def source_ids(question: Question) -> set[str]:
    """The ids of the passages that a question was written from: `gold`, where `synthetic` is true, else none."""
    return (gold_ids(question) or set()) if question.extra.get("synthetic") is True else set()


def _capped(question: Question, passages: Sequence[Passage], name: str, column: Floats) -> Floats:
    written_from = source_ids(question)
    own = np.array([passage.id in written_from for passage in passages])
    names = {name} if name != SCORE else set.intersection(*_names_of_score(passages))
    if not any(map(is_question_likelihood, names)) or not own.any() or own.all():
        return column
    most = np.nextafter(column[~own].max(), -np.inf)  # not equal: two equal best scores look like a default
    return np.where(own, np.minimum(column, most), column)


def is_question_likelihood(name: str) -> bool:
    """Whether a score is log p(question | passage), as a sum or per token."""
    return name.startswith(QUESTION_LIKELIHOOD)


def _names_of_score(passages: Sequence[Passage]) -> list[set[str]]:
    """For every passage the names of the scores that equal its `score`."""
    return [{name for name, value in p.scores.items() if value == p.score} for p in passages]


def _scores_by(question: Question, passages: Sequence[Passage], name: str) -> Floats:
    if name == SCORE:
        _check_origin(question, passages)
    values = [p.score if name == SCORE else p.scores.get(name) for p in passages]
    if None in values:
        place = values.index(None)
        field = f"ctxs[{place}].{'score' if name == SCORE else f'scores.{name}'}"
        raise question.error("missing", field, hint=_missing_hint(passages, name, place))
    column = np.array(values, dtype=np.float64)
    if not (np.abs(column) <= np.finfo(np.float32).max).all():  # training computes in single precision
        raise question.error("scores must be finite, and at most 3.4e38", f"ctxs[].{name}", values)
    return column


def _missing_hint(passages: Sequence[Passage], name: str, place: int) -> str:
    if place > 1:
        return f"only the first {place} passages are scored: use --n-passages {place}, or score all passages"
    known = sorted({key for passage in passages for key in passage.scores}) or ["none"]
    return f"available scores: {', '.join(known)}; --teacher {SCORE} uses the field `score`"


def _check_origin(question: Question, passages: Sequence[Passage]) -> None:
    """Raise DataError when the passages' `scores` show that their `score` values come from different tools."""
    origins = _names_of_score([p for p in passages if p.scores])
    if origins and (len(origins) < len(passages) or not set.intersection(*origins)):
        hint = "name one teacher, such as --teacher attention, and score all passages with it"
        raise question.error("scores of different tools, on different scales", "ctxs[].score", hint=hint)


def _z_scores(scores: Floats) -> Floats:
    std = scores.std()
    centred: Floats = scores - scores.mean()
    return centred / std if std > 0 else centred


def perplexity(scores: Floats, temperature: float = 1.0) -> float:
    """exp of the entropy of softmax(scores / temperature): n if it is uniform over n passages, 1 if on a single one."""
    shifted = (scores - scores.max()) / temperature
    weights = np.exp(shifted)
    probabilities = weights / weights.sum()
    entropy = -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum()
    return float(np.exp(entropy))


def check_targets(targets: Sequence[Floats], temperature: float | None, path: str) -> None:
    """Refuse targets without information and targets on mixed scales; the reference implementation trained on them.

    Raises DataError when most targets are constant, and when in most of them several passages share an extreme score,
    as happens when passages that were not scored get a default value. `temperature` is that of the softmax, or None for
    losses without one. It makes nearly uniform targets raise FidtoolsError, or log a warning.
    """
    several = [scores for scores in targets if len(scores) > 1]
    if not several:
        raise DataError("every question has a single passage, so there is no ranking to learn", path=path)
    constant = sum(np.ptp(scores.astype(np.float32)) == 0 for scores in several)
    if constant > len(several) / 2:
        problem = f"uniform targets: all passages have the same score in {constant} of {len(several)} questions"
        hint = "score the passages with a teacher first: fidtools score-attn writes `attention`"
        if sum(np.ptp(scores) == 0 for scores in several) < constant:
            problem += ", in single precision"
            hint = "training computes with 7 digits: subtract what the scores of a question have in common"
        raise DataError(problem, path=path, hint=hint)
    if (repeated := sum(_has_default(scores) for scores in several)) > len(several) / 2:
        raise DataError(
            f"mixed scales: in {repeated} of {len(several)} questions many passages share one score, others do not",
            path=path,
            hint="passages that were not scored probably got a default: score all passages, or use --n-passages",
        )
    if temperature is not None:
        _check_perplexity(several, temperature, path)


def _check_perplexity(targets: Sequence[Floats], temperature: float, path: str) -> None:
    """Warn of nearly uniform targets at this temperature; raise FidtoolsError where they are practically uniform."""
    share = float(np.median([perplexity(scores, temperature) / len(scores) for scores in targets]))
    if share <= WARN_UNIFORM_SHARE:
        return
    std = float(np.median([scores.std() for scores in targets]))
    problem = f"{path}: nearly uniform targets: their median perplexity is {100 * share:.2f}% of the number of passages"
    hint = f"the standard deviation of the scores is {std:.3g}; try --teacher-temperature {std:.2g}"
    if share > MAX_UNIFORM_SHARE:
        raise FidtoolsError(problem, hint=hint)
    log.warning("%s\n  %s", problem, hint)


def _has_default(scores: Floats) -> bool:
    """Whether a fifth of the passages, at least two, share the lowest or highest score while all others differ.

    Scores of low precision have ties too, but several and not only at the extremes.
    """
    values, counts = np.unique(scores, return_counts=True)
    if len(values) < 3 or np.count_nonzero(counts > 1) != 1:
        return False
    repeated = int(counts.argmax())
    return repeated in (0, len(values) - 1) and bool(counts[repeated] >= max(2, len(scores) / 5))
