"""What one update computes: a batch of questions with their passages, the student's scores, the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fidtools.compute.batching import budget_batches, pad_sequences, padding_id
from fidtools.compute.device import choose_device
from fidtools.compute.ranks import gather, interleaved, ranks
from fidtools.encoders.word_encoders import WordEncoder
from fidtools.retriever import losses
from fidtools.retriever.calibration import Calibration
from fidtools.retriever.encoding import Retriever, normalized
from fidtools.retriever.examples import Example, Examples

PIECES = 4
"""A micro-batch is encoded in about so many pieces of texts of similar length."""


@dataclass(frozen=True)
class Loss:
    """Which of `losses`, with its numbers."""

    name: str = "kl"
    temperature: float = 1.0
    teacher_temperature: float = 1.0
    gamma: float = 0.2
    alpha: float = 0.5
    per_passage: bool = False

    @property
    def needs_teacher(self) -> bool:
        """Whether the loss uses the teacher's scores."""
        return self.name != "infonce" and not (self.name == "bce" and self.alpha == 1)

    @property
    def needs_labels(self) -> bool:
        """Whether the loss uses hard labels."""
        return self.name == "infonce" or (self.name == "bce" and self.alpha > 0)

    @property
    def pointwise(self) -> bool:
        """Whether passages are judged one by one, so that it matters what is added to all scores."""
        return self.name in ("bce", "mse")

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        """One loss per question, (questions,), from (questions, passages)."""
        if self.name == "kl":
            options = {"temperature": self.temperature, "teacher_temperature": self.teacher_temperature}
            return losses.kl(student, teacher, mask, **options, per_passage=self.per_passage)
        if self.name == "margin":
            return losses.margin(student, teacher, mask, gamma=self.gamma)
        if self.name == "bce":
            return losses.bce(student, teacher, mask, labels, alpha=self.alpha, temperature=self.temperature)
        return (losses.mse if self.name == "mse" else losses.margin_mse)(student, teacher, mask)


@dataclass(frozen=True)
class Batch:
    """Some questions with their passages; a passage of several questions is in it once.

    `slots` (q, n) says which of `passages` each place is, `mask` where there is one; teacher and labels alike.
    """

    questions: list[list[int]]
    passages: list[list[int]]
    slots: Tensor
    mask: Tensor
    teacher: Tensor
    labels: Tensor


def make_batch(examples: Examples, items: Sequence[Example]) -> Batch:
    """The batch of these examples, in order."""
    numbers, slots = np.unique(np.concatenate([item.passages for item in items]), return_inverse=True)
    width = max(len(item.passages) for item in items)
    mask = np.zeros((len(items), width), dtype=bool)
    for row, item in enumerate(items):
        mask[row, : len(item.passages)] = True

    def table(values: list[NDArray[Any]], dtype: Any) -> Tensor:
        filled = np.zeros(mask.shape, dtype=dtype)
        filled[mask] = np.concatenate(values)
        return torch.from_numpy(filled).to(choose_device())

    none = [np.zeros(len(item.passages), dtype=bool) for item in items]
    return Batch(
        questions=[examples.questions[item.question] for item in items],
        passages=[examples.passages[int(number)] for number in numbers],
        slots=table([slots], np.int64),
        mask=torch.from_numpy(mask).to(choose_device()),
        teacher=table([item.teacher for item in items], np.float32),
        labels=table([none[i] if item.labels is None else item.labels for i, item in enumerate(items)], bool),
    )


class Student(nn.Module):
    """The two encoders (usually one) and the loss: what the training loop calls."""

    def __init__(self, retriever: Retriever, loss: Loss, *, token_budget: int, freeze_passages: bool = False) -> None:
        super().__init__()
        calibrated = loss.name == "bce" or isinstance(retriever.question_tower.encoder, WordEncoder)
        self.calibration = Calibration(bias=loss.pointwise) if calibrated else None
        self.question_encoder = retriever.question_tower.encoder
        self.passage_encoder = retriever.passage_tower.encoder
        self.retriever, self.loss = retriever, loss
        self.token_budget, self.freeze_passages = token_budget, freeze_passages
        if freeze_passages:
            self.passage_encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> Student:
        """Dropout is on while training, but never in an encoder that is not trained."""
        super().train(mode)
        if self.freeze_passages:
            self.passage_encoder.eval()
        return self

    def forward(self, batch: Batch) -> Tensor:
        """The sum of the questions' losses."""
        if self.loss.name == "infonce":
            return self._of_all_ranks(batch)
        questions = self.encode(self.question_encoder, batch.questions)  # (q, d)
        passages = self.encode(self.passage_encoder, batch.passages)  # (p, d)
        scores = self._scores(questions, passages, batch)
        return self.loss(scores, batch.teacher, batch.mask, batch.labels).sum()

    def dev_loss(self, scores: Tensor, batch: Batch) -> Tensor:
        """One loss per question, (q,), of what `score` gives; InfoNCE among the question's own passages."""
        if self.loss.name != "infonce":
            return self.loss(scores, batch.teacher, batch.mask, batch.labels)
        first = batch.labels.int().argmax(dim=1)
        others = ~batch.mask | (batch.labels & (torch.arange(scores.shape[1], device=scores.device) != first[:, None]))
        return losses.infonce(scores, first, others, temperature=self.loss.temperature)

    def _scores(self, questions: Tensor, passages: Tensor, batch: Batch) -> Tensor:
        own = nn.functional.embedding(batch.slots, passages)  # (q, n, d); indexing would add up gradients in any order
        return self._judged(questions.unsqueeze(1), own)  # (q, n)

    def _judged(self, questions: Tensor, passages: Tensor, *, holders: int = 1) -> Tensor:
        """S, on the scale that the loss judges. `holders` is how many ranks have the gradient of these scores."""
        with torch.autocast(questions.device.type, enabled=False):
            scores = losses.similarity(questions, passages, normalized=self.retriever.settings.normalize)
            return scores if self.calibration is None else self.calibration(scores, holders=holders)

    def _of_all_ranks(self, batch: Batch) -> Tensor:
        """InfoNCE of a batch that every rank has: each encodes its share and takes the others' vectors as given.

        So each has the whole loss's gradient for its share, and their sum is one process's. The value is that of this
        rank's questions alone, so that values add up to the whole loss too.
        """
        me = ranks()
        questions = joined(self.encode(self.question_encoder, me.shard(batch.questions)))
        passages = joined(self.encode(self.passage_encoder, me.shard(batch.passages)))
        each = self._infonce(questions, passages, batch)
        whole = each.sum()
        return whole - whole.detach() + each.detach()[me.rank :: me.world].sum()

    def _infonce(self, questions: Tensor, passages: Tensor, batch: Batch) -> Tensor:
        """The first relevant passage against all others of the batch, but for the question's other relevant ones."""
        scores = self._judged(questions.unsqueeze(1), passages.unsqueeze(0), holders=ranks().world)  # (q, p)
        first = batch.labels.int().argmax(dim=1, keepdim=True)
        positive = batch.slots.gather(1, first)  # (q, 1)
        marks = torch.zeros(scores.shape, dtype=torch.int32, device=scores.device)
        excluded = marks.scatter_add(1, batch.slots, batch.labels.int()) > 0
        excluded.scatter_(1, positive, False)
        return losses.infonce(scores, positive.squeeze(1), excluded, temperature=self.loss.temperature)

    def encode(self, encoder: nn.Module, rows: list[list[int]]) -> Tensor:
        """Vectors (n, d) of token rows, in pieces of similar length.

        More tokens than the budget are encoded twice: once to compare all vectors, and again piece by piece when the
        gradient comes back, with the same dropout. So memory is bounded by a piece, and the result is the plain step's
        (gradient caching: Gao et al., 2021).
        """
        if not rows:
            return torch.zeros(0, self.retriever.dim, device=choose_device())
        lengths = [len(row) for row in rows]
        frozen = encoder is self.passage_encoder and self.freeze_passages
        again = torch.is_grad_enabled() and not frozen and sum(lengths) > self.token_budget
        pieces = budget_batches(lengths, max(1, self.token_budget // PIECES))
        vectors = []
        for piece in pieces:
            ids, mask = (t.to(choose_device()) for t in pad_sequences([rows[i] for i in piece], self._pad_id))
            if again:
                vectors.append(checkpoint(encoder, ids, mask, use_reentrant=False))
            else:
                with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
                    vectors.append(encoder(ids, mask))
        back = np.argsort(np.concatenate(pieces))
        return normalized(torch.cat(vectors)[torch.from_numpy(back).to(choose_device())], self.retriever.settings)

    @property
    def _pad_id(self) -> int:
        return padding_id(self.retriever.question_tower.tokenizer)

    @torch.no_grad()
    def score(self, batch: Batch) -> Tensor:
        """S of every question's passages, (q, n), on the scale that the loss judges."""
        questions = self.encode(self.question_encoder, batch.questions)
        return self._scores(questions, self.encode(self.passage_encoder, batch.passages), batch)


def joined(own: Tensor) -> Tensor:
    """Every rank's vectors in the order in which `Ranks.share` dealt them out; only `own` (n, d) carry a gradient."""
    me = ranks()
    if me.world == 1:
        return own
    parts = [part.to(own.device) for part in gather(own.detach().cpu())]
    parts[me.rank] = own
    return torch.stack(interleaved([part.unbind() for part in parts]))
