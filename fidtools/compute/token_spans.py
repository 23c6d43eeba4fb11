"""Texts cut into parts of at most so many tokens of a model's tokenizer, between words where possible."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.lengths import shorten_text
from fidtools.compute.tokenizers import load_tokenizer
from fidtools.data.sentences import PARAGRAPH, cut_at_ends, sentence_ends
from fidtools.data.words import whitespace_spans
from fidtools.errors import UsageError

Unit = tuple[int, int, int]
"""A word, or a part of one that is longer than a passage: where it starts and ends, and its number of tokens."""


class TokenCutter:
    """Cuts a text into spans of at most `tokens` tokens, special tokens included, starting every `stride` tokens.

    Words are kept whole. One that is longer than a passage (a text without blanks, say) is cut between tokens. With
    `sentences` a span ends at the last end of a sentence that fits, where there is one.
    """

    def __init__(self, tokenizer: Any, tokens: int, stride: int | None = None, *, sentences: bool = False) -> None:
        self.tokenizer, self.tokens, self.sentences = tokenizer, tokens, sentences
        self.room = tokens - tokenizer.num_special_tokens_to_add(pair=False)
        if self.room < 1:
            raise UsageError(f"--tokens {tokens}: this tokenizer's special tokens leave no room for words")
        if stride is not None and stride > self.room:
            raise UsageError(f"--stride {stride} is greater than what fits into --tokens {tokens}")
        self.stride = stride

    def __call__(self, text: str) -> Iterator[tuple[int, int]]:
        """Where each part of the text starts and ends. White space in it is single blanks or paragraph separators."""
        ends = sentence_ends(text) if self.sentences else set[int]()
        text = text.replace(PARAGRAPH, " ")
        units = list(self._units(text, ends))
        before = [0, *accumulate(tokens for _, _, tokens in units)]
        first = 0
        while first < len(units):
            last = first + 1
            while last < len(units) and before[last + 1] - before[first] <= self.room:
                last += 1
            while last > first + 1 and self._count(text[units[first][0] : units[last - 1][1]]) > self.tokens:
                last -= 1  # tokens of a part may differ from those of the whole
            last = next((at for at in range(last, first, -1) if units[at - 1][1] in ends), last)
            yield units[first][0], units[last - 1][1]
            if last == len(units):
                return
            first = last if self.stride is None else self._next(before, first, last)

    def _next(self, before: list[int], first: int, last: int) -> int:
        """The first unit that starts `stride` tokens or more after the first of a part."""
        assert self.stride is not None
        start = before[first] + self.stride
        return next(unit for unit in range(first + 1, last + 1) if before[unit] >= start or unit == last)

    def _count(self, text: str) -> int:
        return len(self.tokenizer(text)["input_ids"])

    def _units(self, text: str, ends: set[int]) -> Iterator[Unit]:
        words = list(cut_at_ends(whitespace_spans(text), ends))
        if not words:
            return
        ids = self.tokenizer([text[start:end] for start, end in words], add_special_tokens=False)["input_ids"]
        for (start, end), tokens in zip(words, map(len, ids), strict=True):
            if tokens <= self.room:
                yield start, end, tokens
                continue
            while start < end:
                part, _ = shorten_text(self.tokenizer, text[start:end], self.room)
                length = max(1, len(part))
                yield start, start + length, self.room
                start += length


def load_cutter(name: str | Path, tokens: int, stride: int | None = None, *, sentences: bool = False) -> TokenCutter:
    """The cutter of a model's tokenizer. Raises FidtoolsError when it cannot be loaded, as for every model."""
    folder = resolve_model(name, weights=False)
    with loading(name):
        tokenizer = load_tokenizer(name, folder)
    return TokenCutter(tokenizer, tokens, stride, sentences=sentences)
