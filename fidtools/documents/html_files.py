"""The text of HTML files: their blocks, each with the heading above it. Nothing is fetched and no script is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fidtools.documents.content import Block, Content, UnreadableError
from fidtools.documents.html_encoding import MARKS, page_text
from fidtools.errors import MissingExtraError

MOST_BYTES = 1 << 26
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
SKIPPED = {
    "script",
    "style",
    "template",
    "noscript",
    "svg",
    "nav",
    "footer",
    "aside",
    "form",
    "select",
    "head",
    "iframe",
}
"""Elements without text of the page's own."""
INLINE = {
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd", "label",
    "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var",
    "wbr",
}  # fmt: skip
"""Elements that do not end a paragraph."""
_TAG = re.compile(rb"<(?:!doctype|html|head|body|title|meta|h1|p|div)\b", re.IGNORECASE)


def read_html(path: Path) -> Content:
    """The blocks of a page: those in its one `main` element, where it has one, else of all of it.

    Navigation, footers, asides and forms are left out. The title is that of the page, else its first h1. `page_text`
    says in which encoding it is read.

    Raises UnreadableError, and MissingExtraError without lxml.
    """
    try:
        from lxml import etree
    except ImportError as error:
        raise MissingExtraError("reading HTML", "documents") from error
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableError(f"larger than {MOST_BYTES >> 20} MiB")
    data = path.read_bytes()
    if b"\0" in data[:1000] and not data.startswith(tuple(MARKS)) and not _TAG.search(data[:1000]):
        raise UnreadableError("not HTML but binary data")
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True)
    text, remark = page_text(data)
    try:
        root = etree.fromstring(text.encode("utf-8"), parser)
    except (etree.LxmlError, ValueError) as error:
        raise UnreadableError(f"not HTML: {error}") from error
    if root is None:
        raise UnreadableError("it contains no text")
    mains = root.findall(".//main")
    blocks = list(_blocks(mains[0] if len(mains) == 1 else root))
    title = " ".join("".join(root.findtext(".//title") or "").split())
    first = next((str(block.fields["heading"]) for block in blocks if "heading" in block.fields), "")
    return Content(blocks, title or first, "; ".join(filter(None, [remark, _damage(parser)])))


def _damage(parser: Any) -> str:
    deep = any("depth" in entry.message.lower() for entry in parser.error_log)
    return "it is nested too deeply, and its end was not read" if deep else ""


def _blocks(root: Any) -> Iterator[Block]:
    """The paragraphs below an element, in order. Without recursion: pages may be nested deeply."""
    heading, words = "", list[str]()

    def ended(tag: str = "") -> Iterator[Block]:
        nonlocal heading
        text = " ".join("".join(words).split())
        words.clear()
        if text:
            heading = text if tag in HEADINGS else heading
            yield Block(text, {"heading": heading} if heading else {})

    skipped = None
    for event, element in _walk(root):
        if skipped is not None:
            skipped = None if event == "end" and element is skipped else skipped
        elif event == "start" and element.tag in SKIPPED:
            yield from ended()
            skipped = element
        elif event == "start":
            if element.tag not in INLINE:
                yield from ended()
            words.append(element.text or "")
        elif element.tag not in INLINE:
            yield from ended(element.tag)
        if event == "end" and skipped is None and element is not root:
            words.append(element.tail or "")
    yield from ended()


def _walk(root: Any) -> Iterator[tuple[str, Any]]:
    from lxml import etree

    yield from etree.iterwalk(root, events=("start", "end"))
