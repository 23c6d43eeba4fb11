"""The paragraphs of a parsed HTML page, as a browser shows them before any script has run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fidtools.documents.content import Block, plain_text

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
PARAGRAPHS = {
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "dialog", "dir",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frame", "frameset", "head", "header",
    "hgroup", "hr", "html", "legend", "li", "listing", "main", "menu", "nav", "noframes", "ol", "optgroup", "option",
    "p", "plaintext", "pre", "search", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "title",
    "tr", "ul", "xmp", *HEADINGS,
}  # fmt: skip
"""Elements that begin and end a paragraph. All others are parts of a line, also those with names of a page's own."""
BOXES = {
    "audio", "button", "canvas", "embed", "iframe", "img", "input", "math", "meter", "object", "progress", "select",
    "svg", "textarea", "video",
}  # fmt: skip
"""Parts of a line that are shown as pictures or controls, so that a word does not go on after them."""
SKIPPED = {"aside", "footer", "form", "head", "iframe", "nav", "select", "svg"}
"""Elements without text of the page's own."""
INVISIBLE = {"annotation", "annotation-xml", "datalist", "noscript", "rp", "rt", "rtc", "script", "style", "template"}
"""Elements that browsers do not show in the line: a word goes on after them, such as after the reading of a ruby."""
_PAGE = ("article", "footer", "h1", "main", "nav")
"""A form that contains one of them is around a whole page, as ASP.NET writes it."""


def html_blocks(root: Any) -> Iterator[Block]:
    """The paragraphs below an element in order, each with the heading above it."""
    from lxml import etree

    heading, words = "", list[str]()
    skipped = None
    for event, element in etree.iterwalk(root, events=("start", "end")):  # no recursion: pages may be nested deeply
        start, tag = event == "start", element.tag
        if start and skipped is None and element is not root and _left_out(element):
            skipped = element
        elif skipped is not None and element is not skipped:
            continue
        if tag in PARAGRAPHS:
            if text := plain_text("".join(words)):
                heading = text if tag in HEADINGS and not start else heading
                yield Block(text, {"heading": heading} if heading else {})
            words.clear()
        elif tag in BOXES:
            words.append(" ")
        if start:
            words.append(element.text or "" if skipped is None else "")
        elif element is not root:
            skipped = None
            words.append(element.tail or "")
    if text := plain_text("".join(words)):
        yield Block(text, {"heading": heading} if heading else {})


def _left_out(element: Any) -> bool:
    if element.tag == "form":
        return next(element.iter(*_PAGE), None) is None
    hidden = element.get("hidden", "until-found").strip().lower() != "until-found"
    return (
        element.tag in SKIPPED or element.tag in INVISIBLE or (hidden and element.tag not in ("html", "body", "main"))
    )
