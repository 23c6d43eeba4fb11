"""The prompt of a reader: input strings and tokens, target tokens, and the settings saved beside the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Lock
from typing import Any, Self

import orjson

from fidtools.compute.hub import resolve_model
from fidtools.data.jsonl import write_json
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError

FILE = "fidtools.json"
Tokens = list[list[list[int]]]
"""Token ids of the passages of several questions: [question][passage][token]."""

_tokenizer = Lock()  # truncation is a tokenizer's state, so threads take turns


@dataclass(frozen=True)
class ReaderSettings:
    """How prompts are built (paper, appendix A.2) and how many passages are read; saved in `fidtools.json`."""

    question_prefix: str = "question:"
    title_prefix: str = "title:"
    context_prefix: str = "context:"
    title: bool = True
    text_maxlength: int = 250
    answer_maxlength: int = 50
    n_context: int | None = None
    special_tokens: bool = False

    def texts(self, question: Question, passages: Sequence[Passage]) -> list[str]:
        """The string that is encoded for each passage; without passages, the one for the question alone."""
        return input_texts(question, passages, self)

    def inputs(self, tokenizer: Any, question: Question, passages: Sequence[Passage]) -> list[list[int]]:
        """The token ids that are encoded for each passage; without passages, those of the question alone."""
        return input_tokens(tokenizer, self.texts(question, passages), self)

    def target(self, tokenizer: Any, text: str, eos: int) -> list[int]:
        """The token ids of an answer to learn, `eos` included."""
        return target_tokens(tokenizer, text, self, eos)

    def write(self, folder: Path) -> None:
        """Save the settings in a model folder."""
        write_json(folder / FILE, {"reader": asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The settings saved in a model folder; None when it has none. Raises DataError when they are invalid."""
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            values = orjson.loads(path.read_bytes())["reader"]
            return cls(**{name: value for name, value in values.items() if name in {f.name for f in fields(cls)}})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"invalid reader settings: {error!r}", path=path) from error


def has_settings(name: str | Path) -> bool:
    """Whether the model of that name was saved as a reader, with its settings."""
    return ReaderSettings.read(Path(resolve_model(name))) is not None


def read_passages_of(question: Question, n_context: int | None) -> list[Passage]:
    """The passages of a question that are read: its first `n_context`.

    Raises DataError when the question has no `ctxs` field; an empty list is fine.
    """
    if question.ctxs is None:
        hint = "rank passages first: fidtools bm25, or fidtools retrieve"
        raise question.error("question without passages", "ctxs", question.id, hint)
    return question.ctxs[:n_context]


def input_texts(question: Question, passages: Sequence[Passage], settings: ReaderSettings) -> list[str]:
    """One string per passage: `question: … title: … context: …`; without passages, the question alone."""
    head = f"{settings.question_prefix} {question.question}"
    if not passages:
        return [head]
    return [f"{head} {passage_text(passage, settings)}" for passage in passages]


def passage_text(passage: Passage, settings: ReaderSettings) -> str:
    """`title: … context: …`, or `context: …` without titles."""
    context = f"{settings.context_prefix} {passage.text}"
    return f"{settings.title_prefix} {passage.title} {context}" if settings.title else context


def input_tokens(tokenizer: Any, texts: Sequence[str], settings: ReaderSettings) -> list[list[int]]:
    """The token ids of input strings, truncated to `text_maxlength`. T5 gets no `</s>`, as in the paper."""
    with _tokenizer:
        encoded = tokenizer(
            list(texts),
            truncation=True,
            max_length=settings.text_maxlength,
            add_special_tokens=settings.special_tokens,
            return_attention_mask=False,
        )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def target_tokens(tokenizer: Any, text: str, settings: ReaderSettings, eos: int) -> list[int]:
    """The token ids of an answer to learn, truncated so that `</s>` always ends it."""
    return [*plain_tokens(tokenizer, text)[: settings.answer_maxlength - 1], eos]


def plain_tokens(tokenizer: Any, text: str) -> list[int]:
    """The token ids of a string, without special tokens and not truncated."""
    with _tokenizer:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def answer_text(tokenizer: Any, tokens: Sequence[int]) -> str:
    """The answer that output tokens decode to, without special tokens."""
    with _tokenizer:
        text: str = tokenizer.decode(list(tokens), skip_special_tokens=True)
    return text.strip()
