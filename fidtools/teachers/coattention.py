"""A BiLSTM over two texts that attend to each other, after the coattention of Xiong, Zhong & Socher (2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fidtools.encoders.pooling import pool
from fidtools.encoders.word_encoders import WordLSTM

AFFINITY_INIT = 16.0
"""The affinity of a new model is this multiple of the inner product of two states: equal words attend to each other."""


class Coattention(nn.Module):
    """question, passage -> one score.

    One BiLSTM encodes both texts (Q: q × h, P: p × h). With the affinity A = Q W Pᵀ, every question word attends to
    the passage's words by the softmax of its row of A, and every passage word to the question's by its column. A
    second BiLSTM reads each word beside what it attends to, their difference and their product. Max pooling of either
    side gives the features of a two-layer classifier.
    """

    def __init__(self, vectors: Tensor, hidden: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.hidden = hidden
        self.words = nn.Embedding(vectors.shape[0], vectors.shape[1], padding_idx=0, _weight=vectors.float())
        self.read = WordLSTM(vectors.shape[1], hidden)
        self.affinity = nn.Linear(2 * hidden, 2 * hidden, bias=False)
        nn.init.eye_(self.affinity.weight).data.mul_(AFFINITY_INIT)
        self.compare = WordLSTM(8 * hidden, hidden)
        self.classify = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(4 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, question: Tensor, question_mask: Tensor, passage: Tensor, passage_mask: Tensor) -> Tensor:
        """Word ids and masks, (n, q) and (n, p) -> scores (n,), float32."""
        q = self.read(self.dropout(self.words(question)), question_mask)  # (n, q, 2h)
        p = self.read(self.dropout(self.words(passage)), passage_mask)  # (n, p, 2h)
        scores = self.affinity(q) @ p.transpose(1, 2)  # (n, q, p)
        of_passage = _softmax(scores, passage_mask.unsqueeze(1)) @ p  # (n, q, 2h)
        of_question = _softmax(scores.transpose(1, 2), question_mask.unsqueeze(1)) @ q  # (n, p, 2h)
        left = self._summary(q, of_passage, question_mask)
        right = self._summary(p, of_question, passage_mask)
        with torch.autocast(left.device.type, enabled=False):  # in bf16 many scores would tie
            result: Tensor = self.classify(torch.cat([left, right], dim=-1).float()).squeeze(-1)
        return result

    def _summary(self, own: Tensor, attended: Tensor, mask: Tensor) -> Tensor:
        both = torch.cat([own, attended, own - attended, own * attended], dim=-1)  # (n, l, 8h)
        return pool(self.compare(both, mask), mask, "max")


def _softmax(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.float().masked_fill(mask == 0, -torch.inf).softmax(dim=-1).to(scores.dtype)
