"""The text of HTML files: their blocks, each with the heading above it. Nothing is fetched and no script is run."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from fidtools.documents.content import Content, UnreadableError, plain_text
from fidtools.documents.html_blocks import html_blocks
from fidtools.documents.html_encoding import MARKS, page_text
from fidtools.errors import MissingExtraError

MOST_BYTES = 1 << 26
_TAG = re.compile(rb"<(?:!doctype|html|head|body|title|meta|h1|p|div)\b", re.IGNORECASE)
_CDATA = re.compile(r"(?P<comment><!--.*?-->)|<!\[CDATA\[(?P<text>.*?)\]\]>", re.DOTALL)
"""Text of XHTML in which < and & stand for themselves. In HTML it is no text."""


def read_html(path: Path) -> Content:
    """The blocks of a page: those in its one `main` element, where it has one with text, else of all of it.

    Navigation, footers, asides and forms are left out. The title is that of the page, else its first heading.
    `page_text` says in which encoding it is read. Of an .xhtml file, CDATA sections are text, as in XML.

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
    if path.suffix.lower() == ".xhtml":
        text = _CDATA.sub(lambda found: found["comment"] or escape(found["text"]), text)
    try:
        root = etree.fromstring(text.encode("utf-8"), parser)
    except (etree.LxmlError, ValueError) as error:
        raise UnreadableError(f"not HTML: {error}") from error
    if root is None:
        raise UnreadableError("it contains no text")
    root.extend(list(root.itersiblings()))  # what follows </html>
    mains = root.findall(".//main")
    blocks = (list(html_blocks(mains[0])) if len(mains) == 1 else []) or list(html_blocks(root))
    title = plain_text(root.xpath("string((//title[not(ancestor::svg)])[1])"))
    first = next((str(block.fields["heading"]) for block in blocks if "heading" in block.fields), "")
    return Content(blocks, title or first, "; ".join(filter(None, [remark, _damage(parser)])))


def _damage(parser: Any) -> str:
    deep = any("depth" in entry.message.lower() for entry in parser.error_log)
    return "it is nested too deeply, and its end was not read" if deep else ""
