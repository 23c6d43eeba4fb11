"""A reader: the model, its tokenizer and its settings, in one folder that `transformers` loads as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from fidtools.compute.batching import equal_tokens
from fidtools.compute.lengths import CutCounter
from fidtools.compute.tokenizers import save_tokenizer
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError
from fidtools.reader.fusion import Fusion
from fidtools.reader.network import ReaderNetwork, first_token_id
from fidtools.reader.prompt import ReaderSettings, Tokens, answer_text, fit_question, read_passages_of
from fidtools.training.lora import save_merged

BIAS_FILE = "cross_attention_bias.safetensors"


@dataclass
class Reader:
    """A Fusion-in-Decoder reader. `cuts` counts the questions and passages that were longer than it reads."""

    fusion: ReaderNetwork[Any]
    tokenizer: Any
    settings: ReaderSettings
    cuts: CutCounter = field(default_factory=CutCounter)

    @property
    def eos(self) -> int:
        """The id of the token that ends an answer. Raises DataError when neither model nor tokenizer has one."""
        known = first_token_id(self.fusion.model, "eos_token_id")
        candidates = (known, self.tokenizer.eos_token_id, self.tokenizer.sep_token_id)
        found = next((token for token in candidates if token is not None), None)
        if found is None:
            raise DataError("the reader has no end-of-sequence token", field="eos_token_id")
        return int(found)

    def passages(self, question: Question) -> list[list[int]]:
        """The token ids of each passage of a question that is read; without passages, of the question alone.

        Raises DataError for a question without the field `ctxs`.
        """
        return self.passages_of(question, read_passages_of(question, self.settings.n_context))

    def settings_for(self, question: Question) -> ReaderSettings:
        """The settings, with a shorter `text_maxlength` where the model has no positions for more."""
        room = self.fusion.room(self.settings.answer_maxlength)
        return self.settings if room is None else self.settings.within(self.tokenizer, question.question, room)

    def texts(self, question: Question, passages: Sequence[Passage]) -> list[str]:
        """What is read of a question with each of `passages`, before tokenization."""
        return self.settings.texts(self._asked(question, passages, self.settings_for(question), CutCounter()), passages)

    def passages_of(self, question: Question, passages: Sequence[Passage]) -> list[list[int]]:
        """The token ids of a question with each of `passages`; without any, of the question alone."""
        settings = self.settings_for(question)
        return settings.inputs(
            self.tokenizer, self._asked(question, passages, settings, self.cuts), passages, self.cuts
        )

    def question_lengths(self, question: Question, tokens: Sequence[Sequence[int]]) -> list[int]:
        """How many tokens at the beginning of each passage's `tokens` are the question's."""
        settings, passages = self.settings_for(question), read_passages_of(question, self.settings.n_context)
        (alone,) = settings.inputs(self.tokenizer, self._asked(question, passages, settings, CutCounter()), [])
        return [equal_tokens(alone, row) for row in tokens]

    def _asked(
        self, question: Question, passages: Sequence[Passage], settings: ReaderSettings, cuts: CutCounter
    ) -> str:
        return fit_question(self.tokenizer, question.question, passages, settings, cuts)

    def report_cuts(self, *, shared: bool = False) -> None:
        """Warn once of the texts that were cut. With `shared` every rank has counted texts of its own."""
        hint = "--text-maxlength and --answer-maxlength of train-reader, --tokens of chunk"
        self.cuts.report("reader", hint, shared=shared)

    def tokens(self, questions: Sequence[Question]) -> Tokens:
        """`passages` of each question."""
        return [self.passages(question) for question in questions]

    def target(self, answer: str) -> list[int]:
        """The token ids of an answer, end token included."""
        return self.settings.target(self.tokenizer, answer, self.eos, self.cuts)

    def text(self, tokens: Sequence[int]) -> str:
        """The answer that output tokens decode to."""
        return answer_text(self.tokenizer, tokens)

    def save(self, folder: Path) -> None:
        """Write model, tokenizer and settings into an existing folder."""
        save_merged(self.fusion.model, folder)
        save_tokenizer(self.tokenizer, folder)
        self.settings.write(folder)
        if isinstance(self.fusion, Fusion) and self.fusion.bias is not None:
            save_file({"weight": self.fusion.bias.weight.detach().cpu().contiguous()}, folder / BIAS_FILE)
