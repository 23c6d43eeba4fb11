"""Which texts are longer than what a model reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fidtools.data.records import Passage, Question
from fidtools.errors import UsageError

BATCH = 256
NO_LIMIT = 10**6
"""Tokenizers without a maximum length have a number beyond this one."""


class Model(Protocol):
    """Counts texts that a model cuts."""

    name: str

    def tokens_over(self, records: Sequence[Question | Passage]) -> list[int]:
        """By how many tokens the text of each record is too long, 0 for one that fits. The records are of one kind."""


class TokenizerModel:
    """A model of which only the tokenizer and the maximum length are known. A passage is its title and its text."""

    def __init__(self, name: str, max_length: int | None) -> None:
        from fidtools.compute.hub import loading, resolve_model
        from fidtools.compute.tokenizers import load_tokenizer

        folder = resolve_model(name, weights=False)
        with loading(name):
            self._tokenizer: Any = load_tokenizer(name, folder)
        length = self._tokenizer.model_max_length if max_length is None else max_length
        if length > NO_LIMIT:
            raise UsageError(f"{name}: this tokenizer has no maximum length", hint="give one with --max-length")
        self.name, self._length = f"{name} ({length} tokens)", int(length)

    def tokens_over(self, records: Sequence[Question | Passage]) -> list[int]:
        """By how many tokens, special ones included, each text exceeds the maximum length."""
        return _over(self._tokenizer, [_text(record) for record in records], self._length)


class RetrieverModel:
    """A retriever: its text formats, tokenizers and lengths, of questions and of passages."""

    def __init__(self, name: str) -> None:
        from fidtools.retriever.encoding import load_towers

        self.name = name
        self._questions, passages = load_towers(name)
        self._passages = passages or self._questions

    def tokens_over(self, records: Sequence[Question | Passage]) -> list[int]:
        """By how many tokens each text, as the encoder reads it, exceeds the retriever's length for its kind."""
        if records and isinstance(records[0], Question):
            settings = self._questions.settings
            texts = [settings.question_text(record.question) for record in records if isinstance(record, Question)]
            return _over(self._questions.tokenizer, texts, settings.question_maxlength)
        settings = self._passages.settings
        texts = [settings.passage_text(record) for record in records if isinstance(record, Passage)]
        return _over(self._passages.tokenizer, texts, settings.passage_maxlength)


def _over(tokenizer: Any, texts: list[str], length: int) -> list[int]:
    """By how many tokens each text is too long."""
    from fidtools.retriever.tower import token_counts

    return [max(0, count - length) for count in token_counts(tokenizer, texts)]


def _text(record: Question | Passage) -> str:
    return record.question if isinstance(record, Question) else f"{record.title} {record.text}".strip()


def load_model(retriever: str | None, tokenizer: str | None, max_length: int | None) -> Model | None:
    """The model that the options name, or None. Raises UsageError for a tokenizer without a length."""
    if retriever is not None:
        return RetrieverModel(retriever)
    return None if tokenizer is None else TokenizerModel(tokenizer, max_length)
