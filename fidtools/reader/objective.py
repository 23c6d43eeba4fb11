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
from fidtools.metrics.answers import exact_match, f1
from fidtools.reader.answering import answer_tokens
from fidtools.reader.decoding import GenerationSettings
from fidtools.reader.groups import in_groups
from fidtools.reader.network import Batch
from fidtools.reader.prompt import read_passages_of
from fidtools.reader.reader import Reader
from fidtools.training.order import ExampleRef, shuffled

TOKENIZED_AHEAD = 16
"""Questions that are tokenized while the model works on earlier ones."""


class ReaderObjective:
    """Cross-entropy of the answer tokens given the fused passages; the best model has the highest dev exact match."""

    metric = "dev_em"

    def __init__(self, reader: Reader, train: Sequence[Question], dev: Sequence[Question], seed: int) -> None:
        self.reader, self.train, self.dev, self.seed = reader, train, dev, seed
        self.module: nn.Module = reader.fusion
        self.n_examples = len(train)

    def target(self, ref: ExampleRef) -> list[int]:
        """The token ids to generate: one of `targets`, drawn at random in each epoch."""
        choice = random.Random(f"{self.seed} {ref.epoch} {ref.index}")
        return self.reader.target(choice.choice(targets(self.train[ref.index])))

    def order(self, seed: int, epoch: int) -> list[int]:
        """A random order."""
        return shuffled(self.n_examples, seed, epoch)

    def loss_denominator(self, refs: Sequence[ExampleRef]) -> float:
        """The number of target tokens of all examples: the loss is a mean over tokens, however they are batched."""
        return float(sum(len(self.target(ref)) for ref in refs))

    def micro_batches(self, refs: Sequence[ExampleRef]) -> Iterator[Batch]:
        """The examples in order, as many together as the token budget allows; a larger one is a batch of its own.

        The next ones are tokenized while the model works.
        """
        passages: list[list[list[int]]] = []
        targets: list[list[int]] = []
        tokens = 0
        for ids, target in prefetch(refs, self._example, TOKENIZED_AHEAD):
            size = sum(len(p) for p in ids)
            if passages and tokens + size > self.reader.fusion.token_budget:
                yield Batch(passages, targets)
                passages, targets, tokens = [], [], 0
            passages.append(ids)
            targets.append(target)
            tokens += size
        if passages:
            yield Batch(passages, targets)

    def _example(self, ref: ExampleRef) -> tuple[list[list[int]], list[int]]:
        return self.reader.passages(self.train[ref.index]), self.target(ref)

    def evaluate(self) -> dict[str, float]:
        """Exact match and F1 of greedy answers on the whole dev set, in percent; empty without a dev set."""
        if not self.dev:
            return {}
        mine = ranks().shard(list(in_groups(self.dev, self.reader.settings.n_context)))
        search = GenerationSettings(max_tokens=self.reader.settings.answer_maxlength)
        hits, overlap = 0.0, 0.0
        for group, tokens in zip(mine, prefetch(mine, self.reader.tokens, depth=1), strict=True):
            for question, (answer, *_) in zip(group, answer_tokens(self.reader, tokens, search), strict=True):
                hits += exact_match(answer.text, question.gold_answers)
                overlap += f1(answer.text, question.gold_answers)
        totals = gather((hits, overlap))
        return {
            "dev_em": 100 * sum(hits for hits, _ in totals) / len(self.dev),
            "dev_f1": 100 * sum(overlap for _, overlap in totals) / len(self.dev),
        }

    def save(self, folder: Path) -> None:
        """Write the reader's folder."""
        self.reader.save(folder)


def targets(question: Question) -> list[str]:
    """Texts to learn: `target`, else `answers`. As in scoring, an empty `target` beside `answers` counts as none."""
    return [question.target] if question.target else question.gold_answers


def labelled_questions(path: str) -> list[Question]:
    """The questions of a file, each with passages and an answer. Raises DataError with file and line."""
    questions = list(read_questions(path))
    for question in questions:
        if not question.gold_answers:
            hint = "a reader learns from `target`, or from one of `answers`"
            raise question.error("question without answer", "answers", question.id, hint)
        read_passages_of(question, None)
    return questions
