"""The objective of a retriever: rank a question's passages as the teacher does (paper, sections 3.4 and 3.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fidtools.compute.ranks import gather, interleaved, ranks
from fidtools.logs import log
from fidtools.metrics.ranked_relevance import reciprocal_rank
from fidtools.retriever.batch import Batch, make_batch
from fidtools.retriever.examples import Example, Examples
from fidtools.retriever.question_groups import QuestionGroups
from fidtools.retriever.run_config import Select
from fidtools.retriever.student import Student
from fidtools.training.monitors import mean_over_ranks, monitor
from fidtools.training.order import ExampleRef, shuffled
from fidtools.typing import Floats


class RetrieverObjective:
    """A distillation loss on the training questions; loss and the monitors of appendix A.2 on the whole dev set.

    Where dev questions have labels, also the mean reciprocal rank of the first relevant passage.
    """

    metric = "selection"

    def __init__(
        self, student: Student, train: Examples, dev: Examples | None, select: Select = "loss", group_size: int = 1
    ) -> None:
        self.student, self.train_set, self.dev, self.select = student, train, dev, select
        self._groups = QuestionGroups([item.passages for item in train.items], group_size) if group_size > 1 else None
        self.module: nn.Module = student
        self.n_examples = len(train)
        self._of_teacher: float | None = None

    def order(self, seed: int, epoch: int) -> list[int]:
        """A random order, of groups of questions that share passages where they are wanted."""
        return self._groups.order(seed, epoch) if self._groups else shuffled(self.n_examples, seed, epoch)

    def loss_denominator(self, refs: Sequence[ExampleRef]) -> float:
        """The number of questions: the loss is a mean over questions."""
        return float(len(refs))

    def micro_batches(self, refs: Sequence[ExampleRef]) -> Iterator[Batch]:
        """The questions in order, as many together as the token budget allows.

        Candidates from the whole batch need all questions of the update in one, those of the other ranks too.
        """
        items = [self.train_set.items[ref.index] for ref in refs]
        if self.student.loss.over_whole_batch:
            yield make_batch(self.train_set, interleaved(gather(items)))
            return
        for together in grouped(self.train_set, items, self.student.token_budget):
            yield make_batch(self.train_set, together)

    def evaluate(self) -> dict[str, float]:
        """Means over the whole dev set: the loss, and where it has a teacher, the monitors. Empty without a dev set."""
        if self.dev is None:
            return {}
        mine = ranks().shard(self.dev.items)
        found = []
        for items in grouped(self.dev, mine, self.student.token_budget):
            batch = make_batch(self.dev, items)
            scores = self.student.score(batch)
            values = self.student.dev_loss(scores, batch).cpu().numpy()
            rows = scores.float().cpu().numpy()
            found += [
                (float(value), item.teacher, row[: len(item.passages)])
                for value, item, row in zip(values, items, rows, strict=True)
            ]
        metrics = monitor(found, self.student.loss.temperature, self.student.loss.teacher_temperature)
        if not self.student.loss.needs_teacher:
            metrics = {"loss": metrics["loss"]}
        metrics |= self._reciprocal_ranks(mine, [row for _, _, row in found])
        return metrics | {"selection": self._selection(metrics)}

    def _reciprocal_ranks(self, items: Sequence[Example], scores: Sequence[NDArray[np.float32]]) -> dict[str, float]:
        """`mrr` of the student and of the teacher, over the questions with labels."""
        mrr = mean_over_ranks(list(_reciprocal_ranks(items, scores)))
        if mrr is None:
            return {}
        if not self.student.loss.needs_teacher:
            return {"mrr": mrr}
        return {"mrr": mrr, "teacher_mrr": self._teacher_mrr(items, mrr)}

    def _teacher_mrr(self, items: Sequence[Example], student: float) -> float:
        """The teacher's mean reciprocal rank. Warns once where the student's was higher from the beginning."""
        if self._of_teacher is None:
            values = list(_reciprocal_ranks(items, [item.teacher for item in items]))
            self._of_teacher = mean_over_ranks(values) or 0.0
            if student > self._of_teacher:
                log.warning(
                    "on --dev the retriever ranks relevant passages higher than its teacher does (MRR %.3f and %.3f): "
                    "it may get worse by learning from it; --select mrr keeps the best model by these labels",
                    student,
                    self._of_teacher,
                )
        return self._of_teacher

    def _selection(self, metrics: dict[str, float]) -> float:
        """The value by which the best model is chosen, larger is better."""
        if self.select == "mrr":
            return metrics["mrr"]
        if self.select == "overlap":
            return float(np.mean([value for name, value in metrics.items() if name.startswith("overlap@")]))
        return -metrics[self.select]

    def save(self, folder: Path) -> None:
        """Write the retriever's folder."""
        self.student.retriever.save(folder)


def _reciprocal_ranks(items: Sequence[Example], scores: Sequence[Floats | NDArray[np.float32]]) -> Iterator[float]:
    """Of the questions with labels, 1 / the rank of the first relevant passage. Equal scores count against it."""
    for item, row in zip(items, scores, strict=True):
        if item.relevant is not None:
            yield reciprocal_rank(item.relevant[np.lexsort((item.relevant, -row))])


def grouped(examples: Examples, items: Sequence[Example], budget: int) -> Iterator[list[Example]]:
    """Consecutive examples with at most `budget` tokens of distinct passages; a larger one is a group alone."""
    group: list[Example] = []
    seen: set[int] = set()
    tokens = 0
    for item in items:
        new = {int(number) for number in item.passages} - seen
        size = sum(examples.passages.length(number) for number in new)
        if group and tokens + size > budget:
            yield group
            new = {int(number) for number in item.passages}
            group, seen, tokens = [], set(), 0
            size = sum(examples.passages.length(number) for number in new)
        group.append(item)
        seen |= new
        tokens += size
    if group:
        yield group
