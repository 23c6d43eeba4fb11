"""Texts that are longer than what a model reads: cut, counted and reported once per run."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from fidtools.compute.ranks import gather, ranks
from fidtools.errors import UsageError
from fidtools.logs import log

Fitted = TypeVar("Fitted", bound=Sized)


@dataclass
class Cut:
    """Of the texts of one kind: how many were read, how many of them cut, and the tokens lost: in all and at most."""

    texts: int = 0
    cut: int = 0
    tokens: int = 0
    most: int = 0

    def __add__(self, other: Cut) -> Cut:
        sums = self.texts + other.texts, self.cut + other.cut, self.tokens + other.tokens
        return Cut(*sums, most=max(self.most, other.most))


class CutCounter:
    """Counts the texts that were cut, by kind (`questions`, `passages`); several threads may add to it."""

    def __init__(self) -> None:
        self.kinds: dict[str, Cut] = {}
        self._lock = Lock()

    def add(self, kind: str, texts: int, dropped: Sequence[int]) -> None:
        """Count `texts` texts, of which `len(dropped)` lost that many tokens each."""
        with self._lock:
            found = Cut(texts, len(dropped), sum(dropped), max(dropped, default=0))
            self.kinds[kind] = self.kinds.get(kind, Cut()) + found

    def report(self, reader: str, hint: str, *, shared: bool = False) -> None:
        """Warn of the texts that were cut, if any: what the `reader` reads, and a `hint` what can be done.

        With `shared` every rank has counted texts of its own, and every rank calls this.
        """
        for kind, cut in sorted(self._total(shared).items()):
            if cut.cut and ranks().is_main:
                count = f"{cut.cut:,} of {cut.texts:,} {kind} were cut to what the {reader} reads"
                lost = f"by {cut.tokens / cut.cut:.0f} tokens on average, {cut.most:,} at most"
                log.warning("%s, %s (%s)", count, lost, hint)

    def _total(self, shared: bool) -> dict[str, Cut]:
        total: dict[str, Cut] = {}
        for kinds in gather(self.kinds) if shared else [self.kinds]:
            for kind, cut in kinds.items():
                total[kind] = total.get(kind, Cut()) + cut
        return total


def dropped_tokens(
    tokenizer: Any, encoded: Any, texts: Sequence[str | tuple[str, str]], maxlength: int, **options: Any
) -> list[int]:
    """The tokens that each cut text lost when `texts`, or pairs, were truncated to `maxlength`; nothing for the others.

    `encoded` is what the tokenizer returned for them, given `options`.
    """
    full = [row for row, ids in enumerate(encoded["input_ids"]) if len(ids) >= maxlength]
    if encodings := getattr(encoded, "encodings", None):
        lost = [_overflow(encodings[row]) for row in full]
    else:
        whole = [(text,) if isinstance(text, str) else text for text in (texts[row] for row in full)]
        lost = [len(tokenizer(*parts, **options)["input_ids"]) - maxlength for parts in whole]
    return [tokens for tokens in lost if tokens > 0]


def _overflow(encoding: Any) -> int:
    """The tokens beyond the maximum length, without the special tokens that are put around each part of them.

    Of a pair only the second text's count: the first is repeated in each part.
    """
    second = 1 in encoding.sequence_ids
    return sum(
        sequence == 1 if second else sequence is not None
        for part in encoding.overflowing
        for sequence in part.sequence_ids
    )


def shorten_text(tokenizer: Any, text: str, limit: int) -> tuple[str, int]:
    """The beginning of `text` of at most `limit` tokens (special ones not counted), and how many tokens it lost."""
    if len(text.encode()) <= limit:  # no token covers less than a byte
        return text, 0
    if not tokenizer.is_fast:
        return _shorten_by_words(tokenizer, text, limit)
    ends = [end for _, end in tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]]
    if len(ends) <= limit:
        return text, 0
    return text[: ends[limit - 1]] if limit > 0 else "", len(ends) - max(limit, 0)


def fit_text(tokenizer: Any, text: str, most: int, encode: Callable[[str], Fitted]) -> tuple[Fitted, int]:
    """`encode(text)`, with `text` cut at its end until that has at most `most` tokens, and how many tokens were cut.

    It is still longer where it is too long without any text.
    """
    encoded, lost = encode(text), 0
    while (excess := len(encoded) - most) > 0 and text:
        count = len(tokenizer(text, add_special_tokens=False)["input_ids"])
        shorter, more = shorten_text(tokenizer, text, max(count - excess, 0))
        if len(shorter) == len(text):  # its last character takes several tokens, and was not cut
            shorter, more = text[:-1], 1
        text, lost = shorter, lost + more
        encoded = encode(text)
    return encoded, lost


def _shorten_by_words(tokenizer: Any, text: str, limit: int) -> tuple[str, int]:
    """`shorten_text` for tokenizers that do not know which characters a token covers: by bisection of its length."""

    def tokens(part: str) -> int:
        return len(tokenizer(part, add_special_tokens=False)["input_ids"])

    if (total := tokens(text)) <= limit:
        return text, 0
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tokens(text[:middle]) <= limit else (low, middle - 1)
    return text[:low], total - tokens(text[:low])


def limited(what: str, default: int, requested: int | None, limit: int | None) -> int:
    """The length to use, in tokens: the requested one, else the default, clamped to what the model reads.

    Raises UsageError when more is requested than the model reads (`limit`; None: it has no limit).
    """
    if limit is None:
        return default if requested is None else requested
    if requested is not None and requested > limit:
        raise UsageError(f"{what} {requested}: this model reads at most {limit} tokens")
    chosen = default if requested is None else requested
    if chosen > limit:
        log.info("%s set to %d, the maximum of this model", what, limit)
    return min(chosen, limit)
