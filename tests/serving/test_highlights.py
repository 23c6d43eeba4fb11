"""The pieces of a text: all of it, in order, with the question's words, the answer, and the attention."""

from __future__ import annotations

import pytest

from fidtools.serving.highlights import Highlighter
from fidtools.serving.readings import TokenShare


def marked(question: str, answer: str | None, text: str) -> str:
    """The text with [words] and {answers}."""
    parts = Highlighter(question, answer).parts(text)
    assert "".join(part.text for part in parts) == text
    return "".join({"": "%s", "word": "[%s]", "answer": "{%s}"}[part.mark] % part.text for part in parts)


@pytest.mark.parametrize(
    ("question", "answer", "text", "expected"),
    [
        ("Where was Ada born?", None, "Ada is born there.", "[Ada] is [born] there."),
        ("How do whales live?", None, "A whale lives.", "A [whale] [lives]."),
        ("What is the who?", None, "The who is what it is.", "The who is what it is."),
        ("Who?", "New York", "In new  YORK, not New Yorker.", "In {new  YORK}, not New Yorker."),
        ("Who lives in New York?", "New York", "New York lives.", "{New York} [lives]."),
        ("Ärzte?", "Café", "Die Ärzte im Cafe\u0301, im Café.", "Die [Ärzte] im {Cafe\u0301}, im {Café}."),
        ("C++?", "3.5 %", "It is 3.5% or 3.5 %.", "It is {3.5%} or {3.5 %}."),
        ("🙂 <b>?", None, "🙂 <b>bold</b>", "🙂 <[b]>bold</[b]>"),
        ("首都?", "東京", "日本の首都は東京です。", "日本の首都は{東京}です。"),
        ("Who?", "Ada", "AdaはPython3を書いた", "{Ada}はPython3を書いた"),
        ("か?", "か", "がっか", "がっ{か}"),
        ("a", "", "", ""),
    ],
)
def test_marks(question, answer, text, expected):
    assert marked(question, answer, text) == expected


def test_attention_cuts_the_text_at_tokens():
    attention = [TokenShare(0, 2, 0.5), TokenShare(2, 3, 0.25), TokenShare(4, 7, 0.125)]
    parts = Highlighter("ada").parts("Ada was there", attention)
    assert parts == [
        ("Ad", "word", 0.5),
        ("a", "word", 0.25),
        (" ", "", None),
        ("was", "", 0.125),
        (" there", "", None),
    ]
