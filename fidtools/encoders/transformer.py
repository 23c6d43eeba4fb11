"""Transformer text encoders: token ids and their mask in, one vector per text out."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from fidtools.encoders.pooling import Pooling, pool
from fidtools.encoders.sentence_layers import Head, Layer


class TokenProjection(nn.Module):
    """A linear map and a LayerNorm on every token before pooling, as in the reference implementation."""

    def __init__(self, hidden_size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Linear(hidden_size, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states (n, l, hidden) -> (n, l, dim)."""
        projected: Tensor = self.norm(self.proj(hidden))
        return projected


class TransformerEncoder(nn.Module):
    """A transformer, an optional projection of its hidden states, pooling, and the layers after it."""

    def __init__(
        self, model: Any, pooling: Pooling, projection: TokenProjection | None = None, head: Iterable[Layer] = ()
    ) -> None:
        super().__init__()
        self.model, self.pooling, self.projection = model, pooling, projection
        self.head = Head(head)
        # of causal models: keys and values kept for generation are never used here
        self._without_cache = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}
        freeze_pooler(model)

    @property
    def dim(self) -> int:
        """The dimension of the vectors."""
        return self.head.dim_of(self.token_dim)

    @property
    def token_dim(self) -> int:
        """The dimension of the tokens' vectors that are pooled."""
        return int(self.model.config.hidden_size if self.projection is None else self.projection.proj.out_features)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and mask (n, l) -> vectors (n, d), float32."""
        unpadded = not self.training and bool(mask.all())  # without a mask, attention takes its faster path
        attended = None if unpadded else mask
        return self._pooled(self.model(input_ids=ids, attention_mask=attended, **self._without_cache), mask)

    def with_mask(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The same vectors without a branch on the values of the mask, for export as a graph."""
        return self._pooled(self.model(input_ids=ids, attention_mask=mask, **self._without_cache), mask)

    def _pooled(self, output: Any, mask: Tensor) -> Tensor:
        hidden = output.last_hidden_state  # (n, l, hidden)
        if self.projection is not None:
            hidden = self.projection(hidden)
        pooled = pool(hidden, mask, self.pooling)
        return self.head(pooled) if len(self.head) else pooled


def freeze_pooler(model: nn.Module) -> None:
    """Freeze BERT's pooler, which is not used: weight decay would change it otherwise."""
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module):
        pooler.requires_grad_(False)
