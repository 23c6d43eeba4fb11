"""The position bias in the cross-attention of released FiD readers.

transformers 3 gave the first decoder layer's cross-attention a table of T5's relative positions, one-directional, which
all layers used; later versions have none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def cross_attention_bias(table: nn.Embedding, offset: int, queries: int, keys: int) -> Tensor:
    """The bias (1, heads, queries, keys) from a table (buckets, heads): decoder position `offset` + i at input j."""
    device = table.weight.device
    position = torch.arange(offset, offset + queries, device=device)[:, None]
    distance = (position - torch.arange(keys, device=device)[None, :]).clamp(min=0)
    values: Tensor = table(one_directional_buckets(distance, table.num_embeddings))  # (queries, keys, heads)
    return values.permute(2, 0, 1)[None]


def one_directional_buckets(distance: Tensor, buckets: int, longest: int = 128) -> Tensor:
    """T5's bucket of each distance ≥ 0 to an earlier token: half are exact, the rest logarithmic up to `longest`."""
    exact = buckets // 2
    ratio = torch.log(distance.clamp(min=1).float() / exact) / torch.log(torch.tensor(longest / exact))
    far = (exact + (ratio * (buckets - exact)).long()).clamp(max=buckets - 1)
    return torch.where(distance < exact, distance, far)
