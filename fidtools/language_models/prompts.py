"""Prompts of causal language models: templates with named fields, cut to a length, as token ids.

A prompt ends where the text begins whose likelihood is wanted (the target). Both are tokenised together, so that the
tokens at their border are the ones a model sees in running text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from fidtools.compute.lengths import CutCounter, fit_text
from fidtools.compute.special_tokens import leading_special_tokens
from fidtools.data.prompt_templates import DEFAULT_PROMPTS, Target, check_template, fill_prompt
from fidtools.data.records import Passage, Question
from fidtools.errors import FidtoolsError, UsageError, shorten

TODAY = date(2024, 7, 26)
"""The date that Llama 3's chat template has where there is no clock."""
CLOCK = re.compile(r"""strftime_now\(\s*(['"])([^'"]*)\1\s*\)""")
MIN_ROOM = 4
"""At least one token in so many is kept for a passage's text, however long the question."""


@dataclass(frozen=True)
class Prompt:
    """What a language model reads in front of the target.

    `of` names the target: the answer, or the question (Sachan et al., ART, section 2.2). `chat` puts the template
    through the model's own chat template. `text_maxlength` is the most tokens of a passage's text that are read.
    """

    of: Target = "answer"
    template: str = DEFAULT_PROMPTS["answer"]
    chat: bool = False
    text_maxlength: int = 250

    def __post_init__(self) -> None:
        check_template(self.template, self.of)

    def to_json(self) -> dict[str, Any]:
        """The settings that determine a score, for the record kept with it."""
        return {
            "of": self.of,
            "prompt": self.template,
            "chat": self.chat,
            "text_maxlength": self.text_maxlength,
        }


@dataclass(frozen=True)
class Encoded:
    """One prompt with its target: token ids (n,), and where the target's tokens begin."""

    ids: list[int]
    start: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def target(self) -> list[int]:
        """The target's token ids."""
        return self.ids[self.start :]


def prompt_prefix(tokenizer: Any, chat: bool) -> list[int]:
    """The special tokens in front of a prompt; a chat template writes its own. Raises UsageError without a template."""
    if chat and not getattr(tokenizer, "chat_template", None):
        raise UsageError("--chat: this model has no chat template", hint="leave out --chat")
    return [] if chat else leading_special_tokens(tokenizer)


def through_chat(tokenizer: Any, prompt: str) -> str:
    """The prompt as a user's message in the model's chat template, in front of a reply without reasoning.

    A template that tells the model the date gets `TODAY`, so that scores are the same on another day. Raises
    FidtoolsError for a template that is damaged, asks for what the sandbox forbids, or leaves the message out.
    """
    message = [{"role": "user", "content": prompt}]
    try:
        text: str = tokenizer.apply_chat_template(
            message,
            chat_template=CLOCK.sub(lambda found: repr(TODAY.strftime(found[2])), tokenizer.get_chat_template()),
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
        )
    except Exception as error:  # a template can raise whatever its expressions can
        problem = f"the model's chat template cannot be used: {shorten(str(error), 160)}"
        raise FidtoolsError(problem, hint="leave out --chat") from error
    if prompt.strip() not in text:
        raise FidtoolsError("the model's chat template leaves the prompt out", hint="leave out --chat")
    return text


class PromptTokenizer:
    """Turns passages, questions and targets into token ids for one model, at most `most_tokens` each."""

    def __init__(self, tokenizer: Any, prompt: Prompt, most_tokens: int) -> None:
        self.tokenizer, self.prompt, self.most_tokens = tokenizer, prompt, most_tokens
        self._prefix = prompt_prefix(tokenizer, prompt.chat)
        self.cuts = CutCounter()

    def encode(self, question: Question, passages: Sequence[Passage], target: str) -> list[Encoded]:
        """The tokens of every passage's prompt followed by the target.

        Passages' texts are cut to `text_maxlength` tokens, and further where prompt and target would not fit into the
        model; a question that is not the target is cut where it would leave a text less than a quarter of the model's
        length. Targets are never cut. Counts in `cuts` what was cut. Raises DataError when the target and the prompt of
        a passage without text are too long for the model.
        """
        texts, lost = self._cut_texts([passage.text for passage in passages])
        question = self._fitting(question, passages, texts, target)
        encoded = []
        for row, (passage, text) in enumerate(zip(passages, texts, strict=True)):
            prompt, more = self._encode_one(question, passage, text, target)
            encoded.append(prompt)
            lost[row] += more
        self.cuts.add("passages", len(passages), [tokens for tokens in lost if tokens])
        return encoded

    def _cut_texts(self, texts: Sequence[str]) -> tuple[list[str], list[int]]:
        """Texts of at most `text_maxlength` tokens, and how many each has lost."""
        found = self.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True) if texts else None
        cut, lost = [], []
        for text, offsets in zip(texts, found["offset_mapping"] if found else [], strict=True):
            lost.append(max(0, len(offsets) - self.prompt.text_maxlength))
            cut.append(text[: offsets[self.prompt.text_maxlength - 1][1]] if lost[-1] else text)
        return cut, lost

    def _fitting(self, question: Question, passages: Sequence[Passage], texts: Sequence[str], target: str) -> Question:
        """The question, cut where it would leave too little room for one of the `texts`."""
        room = self.most_tokens // MIN_ROOM
        if self.prompt.of != "answer" or not passages or len(question.question.encode()) <= room:
            return question
        needed = max(map(len, self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]))
        longest = max(passages, key=lambda passage: len(passage.title))
        kept = question

        def encode(text: str) -> Encoded:
            nonlocal kept
            kept = replace(question, question=text)
            return self._tokenize(fill_prompt(self.prompt.template, self.prompt.of, longest, "", kept), target)

        _, lost = fit_text(self.tokenizer, question.question, self.most_tokens - min(needed, room), encode)
        self.cuts.add("questions", 1, [lost] if lost else [])
        return kept if lost else question

    def _encode_one(self, question: Question, passage: Passage, text: str, target: str) -> tuple[Encoded, int]:
        """The tokens of one prompt, and how many of the text's were cut so that it fits into the model."""

        def encode(text: str) -> Encoded:
            return self._tokenize(fill_prompt(self.prompt.template, self.prompt.of, passage, text, question), target)

        encoded, lost = fit_text(self.tokenizer, text, self.most_tokens, encode)
        if len(encoded) > self.most_tokens:
            problem = f"takes {len(encoded)} tokens with its prompt, more than the model's {self.most_tokens}"
            raise question.error(problem, "question", question.question)
        return encoded, lost

    def _tokenize(self, prompt: str, target: str) -> Encoded:
        if self.prompt.chat:
            prompt = through_chat(self.tokenizer, prompt)
            target = target.strip()
        found = self.tokenizer(prompt + target, add_special_tokens=False, return_offsets_mapping=True)
        border = len(prompt)
        start = next((i for i, (_, end) in enumerate(found["offset_mapping"]) if end > border), len(found["input_ids"]))
        return Encoded([*self._prefix, *found["input_ids"]], len(self._prefix) + start)
