"""The prompt of a causal language model as reader: one block for each passage, and the tail behind all blocks.

    Question: who wrote the first program?       Question: who wrote the first program?
    Title: Ada Lovelace                          Answer:
    Ada wrote the first program.

The tail begins with a line break. Answers continue it, after a space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from fidtools.compute.lengths import CutCounter
from fidtools.data.records import Passage
from fidtools.reader.prompt import SPECIAL_TOKENS, ReaderSettings, ended_answer, plain_tokens

Positions = Literal["begin", "end"]
SHORTEST = 8  # tokens of a block


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

    after_text: ClassVar[str] = "\n"

    def texts(self, question: str, passages: Sequence[Passage]) -> list[str]:
        """The block of each passage; without passages one block, the question."""
        return [self._block(question, passage) for passage in passages] or [f"{self._asked(question)}\n"]

    def inputs(
        self, tokenizer: Any, question: str, passages: Sequence[Passage], cuts: CutCounter | None = None
    ) -> Blocks:
        """The blocks, truncated to `text_maxlength` tokens, which `cuts` counts, and the tail."""
        return Blocks(super().inputs(tokenizer, question, passages, cuts), self._tail(tokenizer, question))

    def within(self, tokenizer: Any, question: str, room: int) -> Self:
        """With a shorter `text_maxlength` where the blocks and the tail need it.

        A long question is cut to what half of the room holds: it stands in the block and in the tail.
        """
        around = len(self._tail(tokenizer, "")) + SPECIAL_TOKENS
        length = max(room - len(self._tail(tokenizer, question)), (room - around) // 2)
        return self if length >= self.text_maxlength else replace(self, text_maxlength=max(length, SHORTEST))

    def _tail(self, tokenizer: Any, question: str) -> list[int]:
        return plain_tokens(tokenizer, f"\n{self._asked(question)}\n{self.answer_prefix}")

    def shortest_input(self, token: int) -> Blocks:
        """A block and a tail of one token."""
        return Blocks([[token]], [token])

    def target(self, tokenizer: Any, text: str, eos: int, cuts: CutCounter | None = None) -> list[int]:
        """The tokens with which an answer continues the tail in running text, truncated so that `eos` always ends it.

        A tokenizer may put a mark of its own in front of a string, so the answer is not tokenized alone.
        """
        before = plain_tokens(tokenizer, self.answer_prefix)
        whole = plain_tokens(tokenizer, f"{self.answer_prefix} {text}")
        continues = whole[: len(before)] == before
        answer = whole[len(before) :] if continues else plain_tokens(tokenizer, f" {text}")
        return ended_answer(answer, self, eos, cuts)

    def _asked(self, question: str) -> str:
        return _line(self.question_prefix, question)

    def _block(self, question: str, passage: Passage) -> str:
        lines = [self._asked(question), _line(self.context_prefix, passage.text)]
        if self.title and passage.title:
            lines.insert(1, _line(self.title_prefix, passage.title))
        return "".join(f"{line}\n" for line in lines)


def _line(prefix: str, text: str) -> str:
    return f"{prefix} {text}" if prefix else text
