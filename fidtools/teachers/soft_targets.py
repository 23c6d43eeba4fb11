"""The objective of a teacher that learns from scores: rank a question's passages as the scores do (soft targets).

Likelihoods of a language model are too peaked to teach a retriever well by themselves, and slow; a cross-encoder that
has learned from them scores many more passages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from fidtools.compute.device import choose_device
from fidtools.compute.ranks import ranks
from fidtools.data.files import PathLike
from fidtools.data.read import read_questions
from fidtools.errors import DataError, several
from fidtools.logs import log
from fidtools.teachers.interface import Teacher, TeacherSettings, TokenPair
from fidtools.teachers.objective import JudgedQuestion, TeacherObjective, pair_length, score_pairs
from fidtools.teachers.run_config import SoftTargets
from fidtools.training import ranking_losses
from fidtools.training.monitors import monitor
from fidtools.training.order import ExampleRef
from fidtools.training.targets import check_targets, teacher_scores
from fidtools.typing import Floats


@dataclass(frozen=True)
class ScoredQuestion(JudgedQuestion):
    """A question, the texts of its passages, and their scores G, (n,); `relevant` are those with the best score."""

    scores: Floats


def read_scored(
    path: PathLike, settings: TeacherSettings, teachers: Mapping[str, float], n_passages: int, targets: SoftTargets
) -> list[ScoredQuestion]:
    """The questions of a file, with the scores of their first `n_passages` passages; a single passage is skipped.

    Raises DataError for missing scores, several together, and for scores that teach nothing (see `check_targets`).
    """
    found: list[ScoredQuestion] = []
    errors: list[DataError] = []
    texts: dict[str, str] = {}
    skipped = 0
    for question in read_questions(path):
        try:
            scores = teacher_scores(question, n_passages, teachers)
        except DataError as error:
            errors.append(error)
            continue
        passages = [settings.passage_text(p.title, p.text) for p in (question.ctxs or [])[:n_passages]]
        if len(passages) > 1:
            shared = [texts.setdefault(text, text) for text in passages]
            found.append(ScoredQuestion(question.question, shared, scores == scores.max(), scores))
        else:
            skipped += 1
    if errors:
        raise several(errors, len(errors))
    if skipped:
        log.info("%s: skipped %d questions with a single passage", path, skipped)
    check_targets(
        [item.scores for item in found], targets.teacher_temperature if targets.loss == "kl" else None, str(path)
    )
    return found


@dataclass(frozen=True)
class ListBatch:
    """Tokenised pairs of several questions, one question's after another's; mask and scores G are (questions, most)."""

    pairs: list[TokenPair]
    mask: Tensor
    scores: Tensor


class _ListLoss(nn.Module):
    """A ranking loss over the passages of each question, summed over questions."""

    def __init__(self, teacher: Teacher, loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.network = teacher.module
        self.teacher, self.loss = teacher, loss

    def forward(self, batch: ListBatch) -> Tensor:
        logits = self.teacher.logits(batch.pairs).float()  # (pairs,)
        student = torch.zeros_like(batch.scores).masked_scatter(batch.mask, logits)  # (questions, most)
        return self.loss(student, batch.scores, batch.mask).sum()


class SoftObjective(TeacherObjective):
    """Scores as targets, for the best passage and `negatives` random others per question and epoch.

    The best model has the least loss on dev, over all passages there.
    """

    metric = "selection"
    train: Sequence[ScoredQuestion]
    dev: Sequence[ScoredQuestion]

    def __init__(
        self,
        teacher: Teacher,
        train: Sequence[ScoredQuestion],
        dev: Sequence[ScoredQuestion],
        *,
        targets: SoftTargets,
        negatives: int,
        seed: int,
        budget: int,
    ) -> None:
        super().__init__(teacher, train, dev, negatives=negatives, seed=seed, budget=budget)
        self.targets = targets
        self.loss = partial(getattr(ranking_losses, targets.loss.replace("-", "_")), **targets.options())
        self.module: nn.Module = _ListLoss(teacher, self.loss)

    def micro_batches(self, refs: Sequence[ExampleRef]) -> Iterator[ListBatch]:  # type: ignore[override]
        """The questions in order, as many together as the token budget allows; all pairs of one are in one batch."""
        together: list[tuple[list[TokenPair], Floats]] = []
        longest = count = 0
        for ref in refs:
            item, sampled = self.train[ref.index], self.sampled_passages(ref)
            pairs = self.teacher.tokenize([item.question] * len(sampled), [item.passages[i] for i in sampled])
            own = max(map(pair_length, pairs))
            if together and max(longest, own) * (count + len(pairs)) > self.budget:
                yield _list_batch(together)
                together, longest, count = [], 0, 0
            together.append((pairs, item.scores[sampled]))
            longest, count = max(longest, own), count + len(pairs)
        yield _list_batch(together)

    def evaluate(self) -> dict[str, float]:
        """Means of the loss and of the agreement with the scores on the dev set; empty without a dev set."""
        if not self.dev:
            return {}
        found = []
        for item in ranks().shard(list(self.dev)):
            own = score_pairs(self.teacher, [item.question] * len(item.passages), item.passages, self.budget)
            scores, mask = torch.from_numpy(item.scores)[None], torch.ones(1, len(own), dtype=torch.bool)
            found.append((self.loss(torch.from_numpy(own)[None], scores, mask).item(), item.scores, own))
        metrics = monitor(found, self.targets.temperature, self.targets.teacher_temperature)
        return metrics | {"selection": -metrics["loss"]}


def _list_batch(together: Sequence[tuple[list[TokenPair], Floats]]) -> ListBatch:
    most = max(len(pairs) for pairs, _ in together)
    mask = np.arange(most) < np.array([len(pairs) for pairs, _ in together])[:, None]
    scores = np.zeros(mask.shape, dtype=np.float32)
    scores[mask] = np.concatenate([own for _, own in together])
    tables = (torch.from_numpy(table).to(choose_device()) for table in (mask, scores))
    return ListBatch([pair for pairs, _ in together for pair in pairs], *tables)
