"""Templates of prompts, questions and passages: text with named fields and nothing else in braces."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Literal

from fidtools.data.files import PathLike
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, UsageError, shorten

Target = Literal["answer", "question"]
FIELDS = {"answer": ("title", "text", "question"), "question": ("title", "text")}
REQUIRED_FIELDS = {"answer": ("text", "question"), "question": ("text",)}
FORMAT_FIELDS = {"question_format": ("question",), "passage_format": ("title", "text")}
REQUIRED_IN_FORMAT = {"question_format": ("question",), "passage_format": ("text",)}
DEFAULT_PROMPTS = {
    "answer": "Title: {title}\n{text}\n\nQuestion: {question}\nAnswer:",
    "question": "Passage: {title} {text}\nPlease write a question based on this passage.\nQuestion:",
}
"""Of causal language models, by target. The one of questions is ART's (Sachan et al., section 2.2)."""
ENCODER_QUESTION_PROMPT = "Passage: {title} {text}. Please write a question based on this passage."
"""What the encoder of an encoder–decoder reads where the question is the target."""

WRITING_FIELDS = ("title", "text", "sentence")
_EXAMPLES = """\
Title: Old Mill
Sentence: It ground corn for the town until a flood broke the wheel in 1891.
Question: When was the wheel of the Old Mill broken by a flood?
Answer: 1891

Title: Sea otter
Sentence: Unlike most marine mammals they have no layer of fat: their very thick fur keeps them warm.
Question: What keeps sea otters warm?
Answer: their very thick fur

Title: Maria Lund
Sentence: In 1923 Lund, an engineer, designed the signal lamps that were later used on all railway lines.
Question: Which engineer designed the signal lamps of the railways?
Answer: Maria Lund

Title: Vega Islands
Sentence: About 300 people live on the islands, most of them in the fishing village of Holm.
Question: In which village do most people of the Vega Islands live?
Answer: Holm
"""
WRITING_PROMPT = (
    "Each sentence is followed by a question about it and by the answer, a few words of the sentence.\n\n"
    f"{_EXAMPLES}\nTitle: {{title}}\nSentence: {{sentence}}\nQuestion:"
)
"""What a language model continues with a question and its answer; see docs/generate-questions.md for what it yields."""
CHAT_WRITING_PROMPT = (
    "Write one question that the following text answers, and its answer.\n"
    "The question must be understood without the text. The answer is a few words, copied from the text.\n"
    "Reply with two lines, and nothing else:\nQuestion: …\nAnswer: …\n\nTitle: {title}\nText: {text}"
)

RERANKER_FIELDS = ("instruction", "question", "passage")
RERANKER_PROMPT = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    "<Instruct>: {instruction}\n<Query>: {question}\n<Document>: {passage}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
"""Qwen3-Reranker's, from its model card: the next token is one of two words."""
RERANKER_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
RERANKER_WORDS = ("yes", "no")


def fill_prompt(template: str, of: Target, passage: Passage, text: str, question: Question) -> str:
    """The prompt of a passage whose (possibly shortened) text is `text`."""
    values = {"title": passage.title, "text": text, "question": question.question}
    return template.format(**{name: values[name] for name in FIELDS[of]})


def check_template(template: str, of: Target) -> None:
    """Raise UsageError for a template with fields other than the target's, or without the ones it needs."""
    check_fields("--prompt", template, FIELDS[of], REQUIRED_FIELDS[of])


def check_writing_template(template: str) -> None:
    """Raise UsageError for a template of `generate-questions` that shows no text, or has other fields."""
    check_fields("--prompt", template, WRITING_FIELDS, ())
    if not {"text", "sentence"} & {name for _, name, _, _ in string.Formatter().parse(template)}:
        raise UsageError("--prompt: the field {text} or {sentence} is missing")


def check_fields(what: str, template: str, fields: Sequence[str], required: Sequence[str]) -> None:
    """Raise UsageError unless a format string has only plain fields of these names, and the required ones.

    A field with an attribute, an index, a format or a conversion is refused: a template may come with a model folder.
    `what` names the template in the message.
    """
    hint = f"fields are {', '.join('{' + name + '}' for name in fields)}; a literal brace is doubled: {{{{ or }}}}"
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"{what}: malformed template: {error}", hint=hint) from error
    names = [name for _, name, _, _ in parts if name is not None]
    plain = all(not spec and not conversion for _, name, spec, conversion in parts if name is not None)
    if unknown := [name for name in names if name not in fields]:
        raise UsageError(f"{what}: unknown field {{{shorten(unknown[0])}}}", hint=hint)
    if not plain:
        raise UsageError(f"{what}: fields take neither a format nor a conversion", hint=hint)
    if missing := [name for name in required if name not in names]:
        raise UsageError(f"{what}: the field {{{missing[0]}}} is missing", hint=hint)


def check_format(what: str, template: str, path: PathLike | None = None) -> None:
    """Raise UsageError for a format of questions or passages (`what` ends in its name) with other fields than its own.

    Raises DataError instead when it comes from the file `path`.
    """
    name = what.strip("`")
    try:
        check_fields(what, template, FORMAT_FIELDS[name], REQUIRED_IN_FORMAT[name])
    except UsageError as error:
        if path is None:
            raise
        problem = error.message.partition(": ")[2]
        raise DataError(problem, path=path, field=name, value=template, hint=error.hint) from error
