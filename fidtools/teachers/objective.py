"""Training a cross-encoder on hard labels: is this passage relevant to this question?"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fidtools.compute.batching import budget_batches
from fidtools.compute.device import choose_device
from fidtools.compute.ranks import gather, ranks
from fidtools.data.files import PathLike
from fidtools.data.read import read_questions
from fidtools.errors import DataError
from fidtools.logs import log
from fidtools.metrics.relevance import Labels, relevance
from fidtools.teachers.model import Row, Teacher, TeacherSettings
from fidtools.training.loop import ExampleRef


@dataclass(frozen=True)
class Judged:
    """A question, its passages' texts, and which are relevant."""

    question: str
    passages: list[str]
    relevant: NDArray[np.bool_]


def read_judged(path: PathLike, settings: TeacherSettings, labels: Labels, n_passages: int) -> list[Judged]:
    """The questions of a file with the first `n_passages` passages, at least one of them relevant; others are counted.

    Raises DataError when labels are missing everywhere or on any line.
    """
    judged, total = [], 0
    texts: dict[str, str] = {}
    for total, question in enumerate(read_questions(path), 1):  # noqa: B007
        relevant = relevance(question, labels)[:n_passages]
        passages = [settings.passage_text(p.title, p.text) for p in (question.ctxs or [])[:n_passages]]
        if relevant.any() and not relevant.all():
            judged.append(Judged(question.question, [texts.setdefault(text, text) for text in passages], relevant))
    if not judged:
        hint = f"--labels {labels} found no question with both"
        raise DataError("no question has a relevant passage and another one to tell apart", path=path, hint=hint)
    if left := total - len(judged):
        log.info("%s: %d of %d questions have nothing to tell apart and are left out", path, left, total)
    return judged


@dataclass(frozen=True)
class PairBatch:
    """Pairs of several questions: rows, labels and weights, so that every question counts the same."""

    rows: list[Row]
    labels: Tensor
    weights: Tensor


class _Pairs(nn.Module):
    """Binary cross-entropy of pairs, the mean over each question's, summed over questions."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.network = teacher.module
        self.teacher = teacher

    def forward(self, batch: PairBatch) -> Tensor:
        logits = self.teacher.logits(batch.rows)
        losses = functional.binary_cross_entropy_with_logits(logits, batch.labels, reduction="none")
        return (losses * batch.weights).sum()


class TeacherObjective:
    """Hard labels, `negatives` passages drawn anew in each epoch; the best model ranks the dev passages best (MAP)."""

    metric = "map"

    def __init__(
        self,
        teacher: Teacher,
        train: Sequence[Judged],
        dev: Sequence[Judged],
        *,
        negatives: int,
        seed: int,
        budget: int,
    ) -> None:
        self.teacher, self.train, self.dev = teacher, train, dev
        self.negatives, self.seed, self.budget = negatives, seed, budget
        self.module: nn.Module = _Pairs(teacher)
        self.n_examples = len(train)

    def normalizer(self, draws: Sequence[ExampleRef]) -> float:
        """The number of questions."""
        return float(len(draws))

    def chosen(self, draw: ExampleRef) -> list[int]:
        """All relevant passages of a question and `negatives` others."""
        relevant = self.train[draw.index].relevant
        others = np.flatnonzero(~relevant).tolist()
        choice = random.Random(f"{self.seed} {draw.epoch} {draw.index}")
        return [*np.flatnonzero(relevant).tolist(), *choice.sample(others, min(self.negatives, len(others)))]

    def micro_batches(self, draws: Sequence[ExampleRef]) -> Iterator[PairBatch]:
        """All pairs of these questions in length order, as many together as the token budget allows."""
        rows: list[Row] = []
        labels: list[float] = []
        weights: list[float] = []
        for draw in draws:
            item, numbers = self.train[draw.index], self.chosen(draw)
            rows += self.teacher.rows([item.question] * len(numbers), [item.passages[i] for i in numbers])
            labels += [float(item.relevant[i]) for i in numbers]
            weights += [1 / len(numbers)] * len(numbers)
        for batch in budget_batches([pair_length(row) for row in rows], self.budget):
            columns = (torch.tensor([values[i] for i in batch], device=choose_device()) for values in (labels, weights))
            yield PairBatch([rows[i] for i in batch], *columns)

    def evaluate(self) -> dict[str, float]:
        """Mean average precision and mean reciprocal rank of the dev passages; {} without a dev set."""
        if not self.dev:
            return {}
        sums = np.zeros(2)
        for item in ranks().shard(list(self.dev)):
            scores = score_pairs(self.teacher, [item.question] * len(item.passages), item.passages, self.budget)
            hits = item.relevant[np.argsort(-scores, kind="stable")]
            places = np.flatnonzero(hits) + 1
            sums += [float(np.mean(np.arange(1, len(places) + 1) / places)), 1 / float(places[0])]
        precision, reciprocal = sum(gather(sums)) / len(self.dev)  # type: ignore[misc]
        return {"map": float(precision), "mrr": float(reciprocal)}

    def save(self, folder: Path) -> None:
        """Write the teacher's folder."""
        self.teacher.save(folder)


def pair_length(row: Row) -> int:
    """What a pair costs."""
    return max(len(row[0]), len(row[1]))


@torch.inference_mode()
def score_pairs(
    teacher: Teacher, questions: Sequence[str], passages: Sequence[str], budget: int
) -> NDArray[np.float32]:
    """One score per pair, (n,), in order."""
    rows = teacher.rows(questions, passages)
    scores = np.empty(len(rows), dtype=np.float32)
    for batch in budget_batches([pair_length(row) for row in rows], budget):
        scores[batch] = teacher.logits([rows[i] for i in batch]).cpu().numpy()
    return scores
