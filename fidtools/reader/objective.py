"""The training objective of a reader: the answer, given the passages (Fusion-in-Decoder; paper, appendix A.2)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import nn

from fidtools.compute.prefetch import prefetch
from fidtools.compute.ranks import gather, ranks
from fidtools.data.read import read_questions
from fidtools.data.records import Question
from fidtools.errors import DataError
from fidtools.metrics.answers import exact_match, f1
from fidtools.reader.answering import answer_tokens
from fidtools.reader.decoding import GenerationSettings, gold_answers
from fidtools.reader.fusion import Batch
from fidtools.reader.groups import in_groups
from fidtools.reader.model import Reader
from fidtools.reader.prompt import read_passages_of
from fidtools.training.loop import ExampleRef

AHEAD = 16
"""Questions that are tokenized in advance."""


class ReaderObjective:
    """Cross-entropy of the answers' tokens given the fused passages; the best model has the best dev exact match."""

    metric = "dev_em"

    def __init__(self, reader: Reader, train: Sequence[Question], dev: Sequence[Question], seed: int) -> None:
        self.reader, self.train, self.dev, self.seed = reader, train, dev, seed
        self.module: nn.Module = reader.fusion
        self.n_examples = len(train)

    def target(self, draw: ExampleRef) -> list[int]:
        """The tokens to learn: of `target`, else of one of `answers`, drawn again in each epoch."""
        question = self.train[draw.index]
        if question.target is not None:
            return self.reader.target(question.target)
        choice = random.Random(f"{self.seed} {draw.epoch} {draw.index}")
        return self.reader.target(choice.choice(question.answers or [""]))

    def normalizer(self, draws: Sequence[ExampleRef]) -> float:
        """The number of target tokens of all examples: the loss is the mean over them, as if they were one batch."""
        return float(sum(len(self.target(draw)) for draw in draws))

    def micro_batches(self, draws: Sequence[ExampleRef]) -> Iterator[Batch]:
        """The examples in order, as many together as the token budget allows; a larger one is alone.

        The next ones are tokenized while the model works on this one.
        """
        passages: list[list[list[int]]] = []
        targets: list[list[int]] = []
        tokens = 0
        for ids, target in prefetch(draws, self._example, AHEAD):
            size = sum(len(p) for p in ids)
            if passages and tokens + size > self.reader.fusion.token_budget:
                yield Batch(passages, targets)
                passages, targets, tokens = [], [], 0
            passages.append(ids)
            targets.append(target)
            tokens += size
        if passages:
            yield Batch(passages, targets)

    def _example(self, draw: ExampleRef) -> tuple[list[list[int]], list[int]]:
        return self.reader.passages(self.train[draw.index]), self.target(draw)

    def evaluate(self) -> dict[str, float]:
        """Exact match and F1, in percent, of greedy answers on the whole dev set; {} without one."""
        if not self.dev:
            return {}
        mine = ranks().shard(list(in_groups(self.dev, self.reader.settings.n_context)))
        search = GenerationSettings(max_tokens=self.reader.settings.answer_maxlength)
        hits, overlap = 0.0, 0.0
        for group, tokens in zip(mine, prefetch(mine, self.reader.tokens, depth=1), strict=True):
            for question, (answer, *_) in zip(group, answer_tokens(self.reader, tokens, search), strict=True):
                hits += exact_match(answer.text, gold_answers(question))
                overlap += f1(answer.text, gold_answers(question))
        totals = gather((hits, overlap))
        return {
            "dev_em": 100 * sum(hits for hits, _ in totals) / len(self.dev),
            "dev_f1": 100 * sum(overlap for _, overlap in totals) / len(self.dev),
        }

    def save(self, folder: Path) -> None:
        """Write the reader's folder."""
        self.reader.save(folder)


def labelled_questions(path: str) -> list[Question]:
    """The questions of a file. Raises DataError for one without passages or without an answer."""
    questions = list(read_questions(path))
    for question in questions:
        if not gold_answers(question):
            hint = "a reader is trained on `target`, or on one of `answers`"
            raise DataError("question without answer", path=path, field="answers", value=question.id, hint=hint)
        read_passages_of(question, None)
    return questions
