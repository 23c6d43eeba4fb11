"""The prompt of a causal language model as reader: one block for each passage, and the tail behind all blocks.

    Question: who wrote the first program?       Question: who wrote the first program?
    Title: Ada Lovelace                          Answer:
    Ada wrote the first program.

The tail begins with a line break. Answers continue it, after a space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fidtools.data.records import Passage, Question
from fidtools.reader.prompt import ReaderSettings, input_tokens, plain_tokens

Positions = Literal["begin", "end"]


class Blocks(list[list[int]]):
    """The token ids of each passage's block, and of the tail, which the answer is decoded behind."""

    def __init__(self, blocks: Sequence[list[int]], tail: list[int]) -> None:
        super().__init__(blocks)
        self.tail = tail


@dataclass(frozen=True)
class CausalReaderSettings(ReaderSettings):
    """How prompts of a causal language model are built.

    `positions` says which of a question's blocks' positions coincide: those of their first tokens ("begin", as in
    parallel context windows) or those of their last ones ("end").
    """

    question_prefix: str = "Question:"
    title_prefix: str = "Title:"
    context_prefix: str = ""
    answer_prefix: str = "Answer:"
    text_maxlength: int = 200
    positions: Positions = "begin"

    def __post_init__(self) -> None:
        if self.positions not in get_args(Positions):
            raise ValueError(f"positions: expected begin or end, got {self.positions}")

    def texts(self, question: Question, passages: Sequence[Passage]) -> list[str]:
        """The block of each passage; without passages one block, the question."""
        return [self._block(question, passage) for passage in passages] or [f"{self._asked(question)}\n"]

    def inputs(self, tokenizer: Any, question: Question, passages: Sequence[Passage]) -> Blocks:
        """The blocks, truncated to `text_maxlength` tokens, and the tail."""
        tail = plain_tokens(tokenizer, f"\n{self._asked(question)}\n{self.answer_prefix}")
        return Blocks(input_tokens(tokenizer, self.texts(question, passages), self), tail)

    def target(self, tokenizer: Any, text: str, eos: int) -> list[int]:
        """The tokens with which an answer continues the tail in running text, truncated so that `eos` always ends it.

        A tokenizer may put a mark of its own in front of a string, so the answer is not tokenized alone.
        """
        before = plain_tokens(tokenizer, self.answer_prefix)
        whole = plain_tokens(tokenizer, f"{self.answer_prefix} {text}")
        continues = whole[: len(before)] == before
        answer = whole[len(before) :] if continues else plain_tokens(tokenizer, f" {text}")
        return [*answer[: self.answer_maxlength - 1], eos]

    def _asked(self, question: Question) -> str:
        return f"{self.question_prefix} {question.question}".strip()

    def _block(self, question: Question, passage: Passage) -> str:
        lines = [self._asked(question), f"{self.context_prefix} {passage.text}".strip()]
        if self.title and passage.title:
            lines.insert(1, f"{self.title_prefix} {passage.title}".strip())
        return "".join(f"{line}\n" for line in lines)
