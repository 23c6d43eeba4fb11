"""What a reader made of a question: its answer, and its attention on passages and tokens. Without torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from fidtools.data.records import Passage
from fidtools.metrics.answer_match import has_answer

SHARE_DECIMALS = 4


@dataclass(frozen=True)
class TokenShare:
    """A token's place in a passage's text, in characters, and its share of the attention."""

    start: int
    stop: int
    share: float


@dataclass(frozen=True)
class Attention:
    """The attention at the first token of an answer, softmaxed over all tokens read, mean over layers and heads.

    `shares` are of the passages that were read; they add up to 1. `tokens` are those in each passage's text, without
    the question and the title; empty where the tokenizer cannot tell.
    """

    shares: list[float]
    tokens: list[list[TokenShare]]


@dataclass(frozen=True)
class Reading:
    """The answer to a question, and the natural logarithm of its probability.

    `attention` is None for a model whose cross-attention cannot be recorded.
    """

    answer: str
    log_probability: float
    attention: Attention | None

    @property
    def probability(self) -> float:
        """The probability of the answer."""
        return exp(self.log_probability)

    def contained_in(self, passage: Passage) -> bool:
        """Whether the passage's text contains the answer (DPR's answer match)."""
        return has_answer([self.answer], passage.text)

    def share(self, number: int) -> float | None:
        """The share of the attention on a passage, by its place in the list; None if unknown or not read."""
        if self.attention is None or number >= len(self.attention.shares):
            return None
        return round(self.attention.shares[number], SHARE_DECIMALS)
