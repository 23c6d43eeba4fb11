"""The student of a training run: its scores of a batch, and the loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fidtools.compute.batching import budget_batches, pad_sequences, padding_id
from fidtools.compute.device import choose_device
from fidtools.compute.ranks import gather, interleaved, ranks
from fidtools.encoders.static_encoder import StaticEncoder
from fidtools.encoders.word_encoders import WordEncoder
from fidtools.retriever import losses
from fidtools.retriever.batch import Batch
from fidtools.retriever.calibration import Calibration
from fidtools.retriever.contrastive import more_similar_than_positive
from fidtools.retriever.encoding import Retriever, normalized
from fidtools.retriever.loss import Loss

FROM_SCRATCH = (WordEncoder, StaticEncoder)
"""Encoders whose scores are calibrated whatever the loss."""
MICRO_BATCHES = 4
"""Into about how many pieces of texts of similar length a batch at the token budget is divided."""


class Student(nn.Module):
    """The two encoders (usually one), the calibration and the loss: the module that the training loop calls.

    `truncated` are the losses of vectors cut to fewer dimensions, by dimension. An update's loss is then the mean of
    all, that of the whole vectors included (Matryoshka representation learning: Kusupati et al., 2022).
    """

    def __init__(
        self,
        retriever: Retriever,
        loss: Loss,
        *,
        token_budget: int,
        freeze_passages: bool = False,
        truncated: Mapping[int, Loss] | None = None,
    ) -> None:
        super().__init__()
        calibrated = loss.spec.log_odds or isinstance(retriever.question_tower.encoder, FROM_SCRATCH)
        self.calibration = Calibration(bias=loss.spec.pointwise) if calibrated else None
        self.question_encoder = retriever.question_tower.encoder
        self.passage_encoder = retriever.passage_tower.encoder
        self.retriever, self.loss = retriever, loss
        self.loss_of_dim = {retriever.dim: loss} | dict(truncated or {})
        self.token_budget, self.freeze_passages = token_budget, freeze_passages
        if freeze_passages:
            self.passage_encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> Student:
        """Set training mode, except for a frozen encoder: it stays in evaluation mode, without dropout."""
        super().train(mode)
        if self.freeze_passages:
            self.passage_encoder.eval()
        return self

    def forward(self, batch: Batch) -> Tensor:
        """The sum of the questions' losses."""
        if self.loss.over_whole_batch:
            return self._in_batch_loss(batch)
        questions = self.encode(self.question_encoder, batch.questions)  # (q, d)
        passages = self.encode(self.passage_encoder, batch.passages)  # (p, d)
        total = questions.new_zeros(())
        for dim, loss in self.loss_of_dim.items():
            scores = self._scores(self._cut(questions, dim), self._cut(passages, dim), batch)
            total = total + loss(scores, batch.teacher, batch.mask, batch.labels).sum()
        return total / len(self.loss_of_dim)

    def dev_loss(self, scores: Tensor, batch: Batch) -> Tensor:
        """One value per question, (q,), of the scores of `score`, always over the question's own passages."""
        return self.loss(scores, batch.teacher, batch.mask, batch.labels)

    def _cut(self, vectors: Tensor, dim: int) -> Tensor:
        """The first `dim` components of vectors (n, d), of unit length again where the retriever normalizes."""
        return vectors if dim == vectors.shape[-1] else normalized(vectors[..., :dim], self.retriever.settings)

    def _scores(self, questions: Tensor, passages: Tensor, batch: Batch) -> Tensor:
        # `embedding` and not indexing: the backward of indexing adds gradients in an order that varies
        own = nn.functional.embedding(batch.slots, passages)  # (q, n, d)
        with torch.autocast(questions.device.type, enabled=False):
            normalized = self.retriever.settings.normalize
            return self._calibrated(losses.similarity(questions.unsqueeze(1), own, normalized=normalized))  # (q, n)

    def _calibrated(self, scores: Tensor, *, world_size: int = 1) -> Tensor:
        """S on the scale of the loss. `world_size` is the number of ranks that backpropagate the same scores."""
        return scores if self.calibration is None else self.calibration(scores, world_size=world_size)

    def _in_batch_loss(self, batch: Batch) -> Tensor:
        """The loss of a batch that every rank has: each encodes its share and takes the others' vectors as constants.

        So each rank has the gradient of the total loss for its share, and the gradients sum to those of one process.
        The value is the loss of this rank's questions only, so that the values sum to the total loss too.
        """
        me = ranks()
        questions = all_gather_with_local_grad(self.encode(self.question_encoder, me.shard(batch.questions)))
        passages = all_gather_with_local_grad(self.encode(self.passage_encoder, me.shard(batch.passages)))
        with torch.autocast(questions.device.type, enabled=False):
            per_dim = [self._losses_of_all(questions, passages, batch, dim) for dim in self.loss_of_dim]
            losses_of_all = torch.stack(per_dim).mean(dim=0)  # (q,)
        total = losses_of_all.sum()
        return total - total.detach() + losses_of_all.detach()[me.rank :: me.world].sum()

    def _losses_of_all(self, questions: Tensor, passages: Tensor, batch: Batch, dim: int) -> Tensor:
        """One value per question, (q,), of vectors (q, d) and (p, d) cut to `dim` components."""
        unit = self.retriever.settings.normalize
        cut = self._cut(questions, dim), self._cut(passages, dim)
        scores = self._calibrated(losses.similarity_to_all(*cut, normalized=unit), world_size=ranks().world)  # (q, p)
        loss = self.loss_of_dim[dim]
        if (margin := loss.student_mask_above) is not None:
            products = (cut[0] @ cut[1].T).detach()  # (q, p)
            left_out = more_similar_than_positive(products, batch.slots, batch.labels, margin)
            scores = scores.masked_fill(left_out, -torch.inf)
        return loss.of_batch(scores, batch)

    def encode(self, encoder: nn.Module, token_ids: list[list[int]]) -> Tensor:
        """Vectors (n, d) of texts, in order, computed in pieces of texts of similar length.

        If the texts have more tokens than the budget, no activations are kept: each piece is computed again, with the
        same dropout, when its gradient is needed. Memory is then bounded by one piece, and the gradient is that of the
        plain step (gradient caching: Gao et al., 2021).
        """
        if not token_ids:
            return torch.zeros(0, self.retriever.dim, device=choose_device())
        lengths = [len(ids) for ids in token_ids]
        frozen = encoder is self.passage_encoder and self.freeze_passages
        recompute = torch.is_grad_enabled() and not frozen and sum(lengths) > self.token_budget
        pieces = budget_batches(lengths, max(1, self.token_budget // MICRO_BATCHES))
        vectors = []
        for piece in pieces:
            ids, mask = (t.to(choose_device()) for t in pad_sequences([token_ids[i] for i in piece], self._pad_id))
            if recompute:
                vectors.append(checkpoint(encoder, ids, mask, use_reentrant=False))
            else:
                with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
                    vectors.append(encoder(ids, mask))
        input_order = torch.from_numpy(np.argsort(np.concatenate(pieces))).to(choose_device())
        return normalized(torch.cat(vectors)[input_order], self.retriever.settings)

    @property
    def _pad_id(self) -> int:
        return padding_id(self.retriever.question_tower.tokenizer)

    @torch.no_grad()
    def score(self, batch: Batch) -> Tensor:
        """S of every question's passages, (q, n), on the scale of the loss."""
        questions = self.encode(self.question_encoder, batch.questions)
        return self._scores(questions, self.encode(self.passage_encoder, batch.passages), batch)


def all_gather_with_local_grad(own: Tensor) -> Tensor:
    """All ranks' vectors in the order that `Ranks.shard` divided; only this rank's `own` (n, d) carry a gradient."""
    me = ranks()
    if me.world == 1:
        return own
    parts = [part.to(own.device) for part in gather(own.detach().cpu())]
    parts[me.rank] = own
    return torch.stack(interleaved([part.unbind() for part in parts]))
