"""One side of a retriever: an encoder with its tokenizer and settings, and the token ids of its texts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from fidtools.compute.batching import padding_id
from fidtools.compute.lengths import CutCounter, dropped_tokens
from fidtools.data.records import Passage
from fidtools.encoders.static_encoder import StaticTokenizer
from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.retriever.settings import RetrieverSettings

TokenIds = list[list[int]]
"""The token ids of several texts."""


@dataclass(frozen=True, eq=False)
class Tower:
    """An encoder (TransformerEncoder, WordEncoder or StaticEncoder), its tokenizer and its settings.

    `prompts` are those that its folder came with, by name. `cuts` counts the texts that were longer than the settings
    say.
    """

    encoder: nn.Module
    tokenizer: Any
    settings: RetrieverSettings
    prompts: Mapping[str, str] = field(default_factory=dict)
    cuts: CutCounter = field(default_factory=CutCounter)


def tokenize_questions(tower: Tower, questions: Iterable[str]) -> TokenIds:
    """The token ids of every question, formatted and truncated as the tower's settings say."""
    settings = tower.settings
    texts = [settings.question_text(question) for question in questions]
    return _tokenize(tower, "questions", texts, settings.question_maxlength, settings.pad_questions)


def tokenize_passages(tower: Tower, passages: Iterable[Passage]) -> TokenIds:
    """The token ids of every passage, formatted and truncated as the tower's settings say."""
    settings = tower.settings
    texts = [settings.passage_text(passage) for passage in passages]
    return _tokenize(tower, "passages", texts, settings.passage_maxlength, settings.pad_passages)


def token_counts(tokenizer: Any, texts: list[str]) -> list[int]:
    """The number of tokens of every text, special ones included, without any limit."""
    if isinstance(tokenizer, WordTokenizer):
        return [len(tokenizer.tokenize(text, len(text) + 1)) for text in texts]
    if isinstance(tokenizer, StaticTokenizer):
        return [len(ids) for ids in tokenizer.tokenize(texts, sys.maxsize)[0]]
    return [len(ids) for ids in tokenizer(texts, truncation=False)["input_ids"]]


def _tokenize(tower: Tower, kind: str, texts: list[str], maxlength: int, pad: bool) -> TokenIds:
    if not texts:
        return []  # a transformers tokenizer refuses an empty batch
    tokenizer = tower.tokenizer
    if isinstance(tokenizer, WordTokenizer):
        token_ids = [tokenizer.tokenize(text, maxlength) for text in texts]
        full = [text for text, ids in zip(texts, token_ids, strict=True) if len(ids) == maxlength]
        lost = [extra for text in full if (extra := len(tokenizer.tokenize(text, len(text) + 1)) - maxlength)]
    elif isinstance(tokenizer, StaticTokenizer):
        token_ids, lost = tokenizer.tokenize(texts, maxlength)
    else:
        options = {"return_attention_mask": False, "return_token_type_ids": False}
        encoded = tokenizer(texts, truncation=True, max_length=maxlength, padding=False, **options)
        token_ids, lost = encoded["input_ids"], dropped_tokens(tokenizer, encoded, texts, maxlength, **options)
    tower.cuts.add(kind, len(texts), lost)
    return [ids + [padding_id(tokenizer)] * (maxlength - len(ids)) for ids in token_ids] if pad else token_ids
