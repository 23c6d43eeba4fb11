"""Prompt templates: text with named fields, which stand in front of the text whose likelihood is wanted."""

from __future__ import annotations

import string
from typing import Literal

from fidtools.data.records import Passage, Question
from fidtools.errors import UsageError

Target = Literal["answer", "question"]
FIELDS = {"answer": ("title", "text", "question"), "question": ("title", "text")}
REQUIRED_FIELDS = {"answer": ("text", "question"), "question": ("text",)}
DEFAULT_PROMPTS = {
    "answer": "Title: {title}\n{text}\n\nQuestion: {question}\nAnswer:",
    "question": "Passage: {title} {text}\nPlease write a question based on this passage.\nQuestion:",
}
"""Of causal language models, by target. The one of questions is ART's (Sachan et al., section 2.2)."""
ENCODER_QUESTION_PROMPT = "Passage: {title} {text}. Please write a question based on this passage."
"""What the encoder of an encoder–decoder reads where the question is the target."""


def fill_prompt(template: str, of: Target, passage: Passage, text: str, question: Question) -> str:
    """The prompt of a passage whose (possibly shortened) text is `text`."""
    values = {"title": passage.title, "text": text, "question": question.question}
    return template.format(**{name: values[name] for name in FIELDS[of]})


def check_template(template: str, of: Target) -> None:
    """Raise UsageError for a template with fields other than the target's, or without the ones it needs."""
    hint = f"fields are {', '.join('{' + name + '}' for name in FIELDS[of])}; a literal brace is doubled: {{{{ or }}}}"
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"--prompt: malformed template: {error}", hint=hint) from error
    names = [name for _, name, _, _ in parts if name is not None]
    plain = all(not spec and not conversion for _, name, spec, conversion in parts if name is not None)
    if unknown := [name for name in names if name not in FIELDS[of]]:
        raise UsageError(f"--prompt: unknown field {{{unknown[0]}}}", hint=hint)
    if not plain:
        raise UsageError("--prompt: fields take neither a format nor a conversion", hint=hint)
    if missing := [name for name in REQUIRED_FIELDS[of] if name not in names]:
        raise UsageError(f"--prompt: the field {{{missing[0]}}} is missing", hint=hint)
