"""Word encoders (Shakeri, Sethy & Cheng): word vectors, a BiLSTM or a CNN over them, and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from fidtools.encoders.pooling import Pooling, pool

WordKind = Literal["lstm", "cnn"]


class WordLSTM(nn.Module):
    """A bidirectional LSTM over the words of a text without its padding (QA-LSTM: Tan et al., 2016)."""

    def __init__(self, word_dim: int, hidden: int = 128, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.rnn = nn.LSTM(word_dim, hidden, layers, batch_first=True, bidirectional=True, dropout=between)
        self.dim = 2 * hidden

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Word vectors (n, l, w) -> (n, l, 2 × hidden)."""
        lengths = mask.sum(dim=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        states, _ = self.rnn(packed)
        unpacked: Tensor = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=words.shape[1])[0]
        return unpacked


class WordCNN(nn.Module):
    """Convolutions of several widths, concatenated. Padding counts as zero vectors."""

    def __init__(self, word_dim: int, channels: int = 128, widths: Sequence[int] = (1, 3, 5)) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.convs = nn.ModuleList(nn.Conv1d(word_dim, channels, w, padding=(w - 1) // 2) for w in widths)
        self.dim = channels * len(self.widths)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Word vectors (n, l, w) -> (n, l, channels × widths)."""
        columns = (words * mask.unsqueeze(-1)).transpose(1, 2)  # (n, w, l)
        return torch.cat([conv(columns) for conv in self.convs], dim=1).transpose(1, 2)


class WordEncoder(nn.Module):
    """Word ids to one vector per text: word vectors, an LSTM or CNN over them, and pooling."""

    def __init__(
        self, vectors: Tensor, layers: WordLSTM | WordCNN, pooling: Pooling = "max", *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vectors.shape[0], vectors.shape[1], padding_idx=0, _weight=vectors.float())
        self.layers, self.pooling = layers, pooling
        self.dropout = nn.Dropout(dropout)

    @property
    def dim(self) -> int:
        """The dimension of the vectors."""
        return self.layers.dim

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Word ids and mask (n, l) -> vectors (n, d), float32."""
        return pool(self.layers(self.dropout(self.words(ids)), mask), mask, self.pooling)


def new_word_encoder(kind: WordKind, vectors: Tensor, hidden: int, *, dropout: float = 0.0) -> WordEncoder:
    """An encoder over word vectors (words, w); `hidden` is the LSTM's size per direction or the CNN's channels."""
    layers = WordLSTM(vectors.shape[1], hidden) if kind == "lstm" else WordCNN(vectors.shape[1], hidden)
    return WordEncoder(vectors, layers, dropout=dropout)


def describe_size(encoder: nn.Module, vectors: nn.Embedding) -> str:
    """The number of parameters of an encoder with and without its word vectors, for the log."""
    total = sum(parameter.numel() for parameter in encoder.parameters())
    return f"{total:,} parameters, {total - vectors.weight.numel():,} without the word vectors"
