"""Questions and short answers that a causal language model writes about passages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fidtools.compute.lengths import CutCounter, fit_text, shorten_text
from fidtools.data.hashes import seeded_hash
from fidtools.data.prompt_templates import WRITING_PROMPT, check_writing_template
from fidtools.data.records import Passage
from fidtools.errors import FidtoolsError
from fidtools.language_models.continuation import Decoding, Named, continuations
from fidtools.language_models.model import LanguageModel
from fidtools.language_models.prompts import prompt_prefix, through_chat

LABELLED = re.compile(r"^[ \t*#>_-]*(question|answer)[ \t*_]*:[ \t*_]*(.*?)[ \t*_\r]*$", re.IGNORECASE | re.MULTILINE)
"""A line of a reply, with the decoration that chat models put around labels."""
COMPLETE = re.compile(LABELLED.pattern.removesuffix("$") + r"\n", re.IGNORECASE | re.MULTILINE)
AROUND_ANSWER = " \t.\"'“”‘’«»`"
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)\]]*\s+|(?<=[。！？])")
SHORTEST_SENTENCE = 25
"""Characters of a sentence that a question can be about; shorter ones are often headings or pieces of abbreviations."""


@dataclass(frozen=True)
class WritingPrompt:
    """What the model reads in front of its question; `chat` puts the template through its own chat template.

    `text_maxlength` is the most tokens of a passage's text that are read.
    """

    template: str = WRITING_PROMPT
    chat: bool = False
    text_maxlength: int = 250

    def __post_init__(self) -> None:
        check_writing_template(self.template)

    @property
    def has_sentence(self) -> bool:
        """Whether a prompt is about one sentence of its passage."""
        return "{sentence}" in self.template

    @property
    def label(self) -> str:
        """The label that the template ends with, which the reply continues: `Question:`, `Answer:` or none."""
        last = self.template.rsplit("\n", 1)[-1].strip()
        return last if not self.chat and last.lower() in ("question:", "answer:") else ""


@dataclass(frozen=True)
class Draft:
    """A question and its answer as a model wrote them; None where its reply has none."""

    reply: str
    question: str | None
    answer: str | None


def parse_reply(reply: str) -> Draft:
    """The first question and the first answer of a reply with lines such as `Question: …` and `Answer: …`.

    >>> parse_reply("Question: who?\\nAnswer: Ada.\\nQuestion: where?")
    Draft(reply='Question: who?\\nAnswer: Ada.\\nQuestion: where?', question='who?', answer='Ada')
    """
    found: dict[str, str] = {}
    for label, text in LABELLED.findall(reply):
        found.setdefault(label.lower(), text.strip())
    answer = found.get("answer", "").strip(AROUND_ANSWER)
    return Draft(reply, found.get("question") or None, answer or None)


def is_complete(reply: str) -> bool:
    """Whether a reply has a question and an answer, and both lines have ended."""
    return {label.lower() for label, text in COMPLETE.findall(reply) if text} == {"question", "answer"}


def sentences(text: str) -> list[str]:
    """The sentences of a passage's text, in order; the first and the last may be cut off, so three or more lose them.

    >>> sentences("and so on. Ada Lovelace was born in London. She wrote the first program in 1843. After that")
    ['Ada Lovelace was born in London.', 'She wrote the first program in 1843.']
    """
    found = [part.strip() for part in SENTENCE_END.split(text) if part and part.strip()]
    inner = found[1:-1] if len(found) > 2 else found
    long = [sentence for sentence in inner if len(sentence) >= SHORTEST_SENTENCE]
    return long or found or [text]


class QuestionWriter:
    """Writes one question per attempt at a passage; attempts differ in the sentence, or in what is drawn."""

    def __init__(
        self, model: LanguageModel, prompt: WritingPrompt, decoding: Decoding, token_budget: int = 16384
    ) -> None:
        self.model, self.prompt, self.decoding, self.token_budget = model, prompt, decoding, token_budget
        self._prefix = prompt_prefix(model.tokenizer, prompt.chat)
        self.cuts = CutCounter()

    def repeats(self, passage: Passage, number: int) -> bool:
        """Whether an attempt would be the same as an earlier one: decoded greedily, about the same sentence."""
        return self.decoding.temperature == 0 and number > 0 and number >= len(sentences(passage.text))

    def write(self, attempts: Sequence[tuple[Passage, int]]) -> list[Draft]:
        """A draft for each passage and number of the attempt, from 0.

        Raises FidtoolsError when the template itself is too long for the model.
        """
        prompts = [Named(f"{passage.id}\0{number}", self._tokens(passage, number)) for passage, number in attempts]
        label = self.prompt.label
        replies = continuations(
            self.model, prompts, self.decoding, lambda text: is_complete(label + text), self.token_budget
        )
        return [parse_reply(label + reply) for reply in replies]

    def _tokens(self, passage: Passage, number: int) -> list[int]:
        tokenizer, most = self.model.tokenizer, self.model.most_tokens - self.decoding.max_tokens
        text, lost = shorten_text(tokenizer, passage.text, self.prompt.text_maxlength)
        ids, more = fit_text(tokenizer, text, most, lambda text: self._encode(passage, text, number))
        if len(ids) > most:
            needed = len(ids) + self.decoding.max_tokens
            problem = f"prompt and question take {needed} tokens, more than the model's {self.model.most_tokens}"
            raise FidtoolsError(problem, hint="shorten --prompt, or lower --max-tokens")
        lost += more
        self.cuts.add("passages", 1, [lost] if lost else [])
        return ids

    def _encode(self, passage: Passage, text: str, number: int) -> list[int]:
        values = {"title": passage.title, "text": text, "sentence": self._sentence(passage, text, number)}
        prompt = self.prompt.template.format(**values)
        if self.prompt.chat:
            prompt = through_chat(self.model.tokenizer, prompt)
        return [*self._prefix, *self.model.tokenizer(prompt, add_special_tokens=False)["input_ids"]]

    def _sentence(self, passage: Passage, text: str, number: int) -> str:
        """The sentence of one attempt: all of a passage's have their turn, in an order drawn by the seed."""
        if not self.prompt.has_sentence:
            return ""
        seed = self.decoding.seed
        order = sorted(sentences(text), key=lambda sentence: seeded_hash(seed, f"{passage.id}\0{sentence}"))
        return order[number % len(order)]
