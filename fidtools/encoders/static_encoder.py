"""Static embeddings: one vector per token, averaged over a text. No network, so that a CPU embeds very fast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fidtools.encoders.sentence_layers import Head, Layer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NO_TOKEN = -1
"""The id that pads texts, and that stands for a text without any token; every other id is a token's."""
UNKNOWN = "[UNK]"
AT_ENDS = r"\A[!-/:-@\[-`{-~]+|[!-/:-@\[-`{-~]+\z"
"""ASCII punctuation at the beginning or end of a word."""


class StaticTokenizer:
    """A tokenizer of the `tokenizers` library, used without special tokens, as sentence-transformers uses it."""

    pad_token_id = NO_TOKEN

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.backend_tokenizer = tokenizer

    def tokenize(self, texts: Sequence[str], maxlength: int) -> tuple[list[list[int]], list[int]]:
        """The first `maxlength` token ids of each text, and how many tokens each longer one lost.

        A text without any token gets NO_TOKEN, whose vector is zero.
        """
        whole = [
            encoding.ids for encoding in self.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ]
        return [ids[:maxlength] or [NO_TOKEN] for ids in whole], [n for ids in whole if (n := len(ids) - maxlength) > 0]


class StaticEncoder(nn.Module):
    """Token vectors (tokens, d), averaged, and the layers after that."""

    def __init__(self, vectors: Tensor, head: Iterable[Layer] = ()) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vectors.shape[0], vectors.shape[1], _weight=vectors.float())
        self.head = Head(head)

    @property
    def dim(self) -> int:
        """The dimension of the vectors."""
        return self.head.dim_of(self.tokens.embedding_dim)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and mask (n, l) -> vectors (n, d), float32."""
        real = ((ids >= 0) & mask.bool()).float()
        summed = nn.functional.embedding_bag(  # without the (n, l, d) vectors of all tokens
            ids.clamp(min=0), self.tokens.weight, mode="sum", per_sample_weights=real
        )
        pooled = summed / real.sum(dim=1, keepdim=True).clamp(min=1)
        return self.head(pooled) if len(self.head) else pooled


def new_static_encoder(words: Sequence[str], vectors: Tensor) -> tuple[StaticEncoder, StaticTokenizer]:
    """An encoder of these words with their vectors (1 + words, d), row 0 being that of all unknown words.

    The tokenizer splits as `split_words` does: at white space, in lower case, without punctuation at both ends.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    ids = {word: i for i, word in enumerate([UNKNOWN, *words])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    ends = pre_tokenizers.Split(Regex(AT_ENDS), "removed")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), ends])
    return StaticEncoder(vectors), StaticTokenizer(tokenizer)


def fold_vectors(tensors: dict[str, Tensor]) -> Tensor:
    """The vectors (tokens, d) in a folder's weights, float32: of sentence-transformers, or of model2vec.

    model2vec may store fewer vectors, the row of each token (`mapping`), and a factor for each token (`weights`).
    Raises KeyError when there are none.
    """
    if "embedding.weight" in tensors:
        return tensors["embedding.weight"].float()
    vectors = tensors["embeddings"].float()
    if "mapping" in tensors:
        vectors = vectors[tensors["mapping"].long()]
    if "weights" in tensors:
        vectors = vectors * tensors["weights"].float()[:, None]
    return torch.as_tensor(vectors).contiguous()
