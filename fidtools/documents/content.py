"""A document as blocks of text (paragraphs, headings, pages) with what is known of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fidtools.data.chunking import Document
from fidtools.data.sentences import PARAGRAPH
from fidtools.data.words import LAYOUT

MOST_CHARACTERS = 1 << 27
"""Of one document's text; more is no document but an attempt to fill the memory."""


class UnreadableError(Exception):
    """A file that cannot be read as a document; the message says why, in a few words."""


@dataclass(frozen=True)
class Block:
    """A part of a document without inner paragraphs, and fields of the passages that start in it or after it."""

    text: str
    fields: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """What a reader of a file format finds: blocks, a title where the file has one, and a remark for the user."""

    blocks: list[Block]
    title: str = ""
    remark: str = ""


def plain_text(text: str) -> str:
    """The text with single spaces for white space, and without characters that only say where a line may end.

    Search takes these for the end of a word.

    >>> plain_text(" soft\\u00adware  and\\nmore ")
    'software and more'
    """
    return " ".join(text.translate(LAYOUT).split())


def document(identifier: str, title: str, blocks: Iterable[Block]) -> Document:
    """The document of these blocks: `plain_text` inside of each, one paragraph separator between them.

    Raises UnreadableError when there is no text, or too much of it.
    """
    parts: list[str] = []
    marks: list[tuple[int, dict[str, str | int]]] = []
    length = 0
    for block in blocks:
        text = plain_text(block.text)
        if text:
            marks.append((length, block.fields))
            parts.append(text)
            length += len(text) + 1
            if length > MOST_CHARACTERS:
                raise UnreadableError(f"more than {MOST_CHARACTERS:,} characters")
    if not parts:
        raise UnreadableError("it contains no text")
    return Document(id=identifier, title=title, text=PARAGRAPH.join(parts), marks=marks)
