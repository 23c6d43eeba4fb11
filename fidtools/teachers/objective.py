"""The objective of a teacher: classify passages as relevant or not (hard labels)."""

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
from fidtools.metrics.labels import Labels
from fidtools.metrics.ranked_relevance import average_precision, reciprocal_rank
from fidtools.metrics.relevance import relevance
from fidtools.teachers.interface import Teacher, TeacherSettings, TokenPair
from fidtools.training.order import ExampleRef, shuffled


@dataclass(frozen=True)
class JudgedQuestion:
    """A question, the texts of its passages, and which of them are relevant, (n,)."""

    question: str
    passages: list[str]
    relevant: NDArray[np.bool_]


def read_judged(path: PathLike, settings: TeacherSettings, labels: Labels, n_passages: int) -> list[JudgedQuestion]:
    """The questions of a file with a relevant and an irrelevant passage among their first `n_passages`.

    Questions without either are skipped and counted. Raises DataError when a question has no labels, when the file is
    empty or when every question is skipped.
    """
    judged, total = [], 0
    texts: dict[str, str] = {}
    for total, question in enumerate(read_questions(path), 1):  # noqa: B007
        relevant = relevance(question, labels)[:n_passages]
        passages = [settings.passage_text(p.title, p.text) for p in (question.ctxs or [])[:n_passages]]
        if relevant.any() and not relevant.all():
            judged.append(
                JudgedQuestion(question.question, [texts.setdefault(text, text) for text in passages], relevant)
            )
    if not judged:
        problem = "no question has both a relevant and an irrelevant passage"
        raise DataError(problem, path=path, hint=f"relevance is decided by `labels` {labels}; rank passages first")
    if skipped := total - len(judged):
        log.info("%s: skipped %d of %d questions without a relevant or an irrelevant passage", path, skipped, total)
    return judged


@dataclass(frozen=True)
class PairBatch:
    """Tokenised pairs of several questions, their labels (n,) and weights (n,): every question has total weight 1."""

    pairs: list[TokenPair]
    labels: Tensor
    weights: Tensor


class _PairLoss(nn.Module):
    """Binary cross-entropy: the mean over the pairs of each question, summed over questions."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.network = teacher.module
        self.teacher = teacher

    def forward(self, batch: PairBatch) -> Tensor:
        logits = self.teacher.logits(batch.pairs)
        losses = functional.binary_cross_entropy_with_logits(logits, batch.labels, reduction="none")
        return (losses * batch.weights).sum()


class TeacherObjective:
    """Hard labels, `negatives` random irrelevant passages per question and epoch; the best model has the best MAP."""

    metric = "map"

    def __init__(
        self,
        teacher: Teacher,
        train: Sequence[JudgedQuestion],
        dev: Sequence[JudgedQuestion],
        *,
        negatives: int,
        seed: int,
        budget: int,
    ) -> None:
        self.teacher, self.train, self.dev = teacher, train, dev
        self.negatives, self.seed, self.budget = negatives, seed, budget
        self.module: nn.Module = _PairLoss(teacher)
        self.n_examples = len(train)

    def order(self, seed: int, epoch: int) -> list[int]:
        """A random order."""
        return shuffled(self.n_examples, seed, epoch)

    def loss_denominator(self, refs: Sequence[ExampleRef]) -> float:
        """The number of questions: the loss is a mean over questions."""
        return float(len(refs))

    def sampled_passages(self, ref: ExampleRef) -> list[int]:
        """The indices of all relevant passages of a question and of `negatives` random others."""
        relevant = self.train[ref.index].relevant
        others = np.flatnonzero(~relevant).tolist()
        choice = random.Random(f"{self.seed} {ref.epoch} {ref.index}")
        return [*np.flatnonzero(relevant).tolist(), *choice.sample(others, min(self.negatives, len(others)))]

    def micro_batches(self, refs: Sequence[ExampleRef]) -> Iterator[PairBatch]:
        """All pairs of these questions in order of length, as many together as the token budget allows."""
        pairs: list[TokenPair] = []
        labels: list[float] = []
        weights: list[float] = []
        for ref in refs:
            item, sampled = self.train[ref.index], self.sampled_passages(ref)
            pairs += self.teacher.tokenize([item.question] * len(sampled), [item.passages[i] for i in sampled])
            labels += [float(item.relevant[i]) for i in sampled]
            weights += [1 / len(sampled)] * len(sampled)
        for batch in budget_batches([pair_length(pair) for pair in pairs], self.budget):
            columns = (torch.tensor([values[i] for i in batch], device=choose_device()) for values in (labels, weights))
            yield PairBatch([pairs[i] for i in batch], *columns)

    def evaluate(self) -> dict[str, float]:
        """Mean average precision and mean reciprocal rank on the dev set; empty without a dev set."""
        if not self.dev:
            return {}
        sums = np.zeros(2)
        for item in ranks().shard(list(self.dev)):
            scores = score_pairs(self.teacher, [item.question] * len(item.passages), item.passages, self.budget)
            ranked = item.relevant[np.argsort(-scores, kind="stable")]
            sums += [average_precision(ranked), reciprocal_rank(ranked)]
        precision, reciprocal = sum(gather(sums)) / len(self.dev)  # type: ignore[misc]
        return {"map": float(precision), "mrr": float(reciprocal)}

    def save(self, folder: Path) -> None:
        """Write the teacher's folder."""
        self.teacher.save(folder)


def pair_length(pair: TokenPair) -> int:
    """The number of tokens of the longer side, by which pairs are batched."""
    return max(len(pair[0]), len(pair[1]))


@torch.inference_mode()
def score_pairs(
    teacher: Teacher, questions: Sequence[str], passages: Sequence[str], budget: int
) -> NDArray[np.float32]:
    """One score (logit) per pair, (n,), in the order of the pairs."""
    pairs = teacher.tokenize(questions, passages)
    scores = np.empty(len(pairs), dtype=np.float32)
    for batch in budget_batches([pair_length(pair) for pair in pairs], budget):
        scores[batch] = teacher.logits([pairs[i] for i in batch]).cpu().numpy()
    return scores
