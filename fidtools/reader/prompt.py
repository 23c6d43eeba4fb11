"""The prompt of a reader: input strings and tokens, target tokens, and the settings saved beside the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Self

from fidtools.compute.hub import resolve_model
from fidtools.compute.lengths import CutCounter, dropped_tokens, shorten_text
from fidtools.data.folder_settings import read_settings
from fidtools.data.jsonl import read_json_object, write_json
from fidtools.data.records import Passage, Question

FILE = "fidtools.json"
MIN_ROOM = 4
"""At least one token in so many of a prompt is kept for the passage, however long the question."""
SPECIAL_TOKENS = 2
"""What a tokenizer may put around a prompt."""
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

    after_text: ClassVar[str] = ""
    """What follows a passage's text in the strings of `texts`."""

    def texts(self, question: str, passages: Sequence[Passage]) -> list[str]:
        """The string that is encoded for each passage; without passages, the one for the question alone."""
        return input_texts(question, passages, self)

    def inputs(
        self, tokenizer: Any, question: str, passages: Sequence[Passage], cuts: CutCounter | None = None
    ) -> list[list[int]]:
        """The token ids of `texts`, truncated to `text_maxlength`, which `cuts` counts."""
        return input_tokens(tokenizer, self.texts(question, passages), self, cuts)

    def within(self, tokenizer: Any, question: str, room: int) -> Self:
        """The settings for a question whose longest passage and what follows the passages take `room` tokens."""
        return self

    def shortest_input(self, token: int) -> list[list[int]]:
        """A question without passages, as `inputs` gives it, of as few tokens as can be read."""
        return [[token]]

    def target(self, tokenizer: Any, text: str, eos: int, cuts: CutCounter | None = None) -> list[int]:
        """The token ids of an answer to learn, truncated so that `eos` always ends it; counted in `cuts`."""
        return target_tokens(tokenizer, text, self, eos, cuts)

    def write(self, folder: Path) -> None:
        """Save the settings in a model folder."""
        write_json(folder / FILE, {"reader": asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The settings saved in a model folder; None when it has none. Raises DataError when they are invalid."""
        path = folder / FILE
        if not path.is_file():
            return None
        record = read_json_object(path).get("reader")
        return read_settings(cls, record, path, ignore_unknown=True)


def has_settings(name: str | Path) -> bool:
    """Whether the model of that name was saved as a reader, with its settings."""
    return ReaderSettings.read(resolve_model(name)) is not None


def read_passages_of(question: Question, n_context: int | None) -> list[Passage]:
    """The passages of a question that are read: its first `n_context`.

    Raises DataError when the question has no `ctxs` field; an empty list is fine.
    """
    if question.ctxs is None:
        hint = "rank passages first: fidtools bm25, or fidtools retrieve"
        raise question.error("question without passages", "ctxs", question.id, hint)
    return question.ctxs[:n_context]


def fit_question(
    tokenizer: Any, question: str, passages: Sequence[Passage], settings: ReaderSettings, cuts: CutCounter
) -> str:
    """The question, cut where it would leave a passage less than a quarter of `text_maxlength`; counted in `cuts`.

    Without passages it may take everything.
    """
    limit = settings.text_maxlength - SPECIAL_TOKENS
    head = f"{settings.question_prefix} {question}"
    with _tokenizer:
        fitting, lost = shorten_text(tokenizer, head, limit - limit // MIN_ROOM)
        if lost:
            texts = [passage_text(passage, settings) for passage in passages]
            longest = max(map(len, tokenizer(texts, add_special_tokens=False)["input_ids"])) if texts else 0
            fitting, lost = shorten_text(tokenizer, head, limit - min(longest, limit // MIN_ROOM))
    cuts.add("questions", 1, [lost] if lost else [])
    return fitting[len(settings.question_prefix) + 1 :]


def input_texts(question: str, passages: Sequence[Passage], settings: ReaderSettings) -> list[str]:
    """One string per passage: `question: … title: … context: …`; without passages, the question alone."""
    head = f"{settings.question_prefix} {question}"
    if not passages:
        return [head]
    return [f"{head} {passage_text(passage, settings)}" for passage in passages]


def passage_text(passage: Passage, settings: ReaderSettings) -> str:
    """`title: … context: …`, or `context: …` without titles."""
    context = f"{settings.context_prefix} {passage.text}"
    return f"{settings.title_prefix} {passage.title} {context}" if settings.title else context


def input_tokens(
    tokenizer: Any, texts: Sequence[str], settings: ReaderSettings, cuts: CutCounter | None = None
) -> list[list[int]]:
    """The token ids of input strings, truncated to `text_maxlength`, which `cuts` counts.

    T5 gets no `</s>`, as in the paper.
    """
    options: dict[str, Any] = {"add_special_tokens": settings.special_tokens, "return_attention_mask": False}
    with _tokenizer:
        encoded = tokenizer(list(texts), truncation=True, max_length=settings.text_maxlength, **options)
        if cuts is not None:
            cuts.add(
                "passages", len(texts), dropped_tokens(tokenizer, encoded, texts, settings.text_maxlength, **options)
            )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def token_spans(tokenizer: Any, texts: Sequence[str], settings: ReaderSettings) -> list[list[tuple[int, int]]] | None:
    """Where the tokens of `input_tokens` lie in their strings, in characters; None if the tokenizer cannot tell."""
    if not tokenizer.is_fast:
        return None
    with _tokenizer:
        encoded = tokenizer(
            list(texts),
            truncation=True,
            max_length=settings.text_maxlength,
            add_special_tokens=settings.special_tokens,
            return_offsets_mapping=True,
        )
    spans: list[list[tuple[int, int]]] = encoded["offset_mapping"]
    return spans


def target_tokens(
    tokenizer: Any, text: str, settings: ReaderSettings, eos: int, cuts: CutCounter | None = None
) -> list[int]:
    """The token ids of an answer to learn, truncated so that `</s>` always ends it; counted in `cuts`."""
    return ended_answer(plain_tokens(tokenizer, text), settings, eos, cuts)


def ended_answer(ids: list[int], settings: ReaderSettings, eos: int, cuts: CutCounter | None = None) -> list[int]:
    """The token ids of an answer, truncated to `answer_maxlength` and ended by `eos`; counted in `cuts`."""
    if cuts is not None:
        lost = len(ids) - (settings.answer_maxlength - 1)
        cuts.add("answers", 1, [lost] if lost > 0 else [])
    return [*ids[: settings.answer_maxlength - 1], eos]


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
