"""Cleans books and film scripts from the web: extracts text from HTML and removes licence texts."""

from __future__ import annotations

import gzip
import html
import io
import re
import zlib
from html.parser import HTMLParser

MAX_STORY_BYTES = 1 << 26  # the longest is below 5 MB; compressed text may claim any length
HIDDEN = {"script", "style", "head", "title", "noscript"}
BREAKS = {"p", "br", "div", "tr", "li", "pre", "h1", "h2", "h3", "h4", "td", "table"}
_LOOKS_LIKE_HTML = re.compile(r"<(?:!doctype html|html|head|body|pre|table)\b", re.IGNORECASE)
_GUTENBERG_START = re.compile(r"^.*\*\*\*\s*START OF (?:THE|THIS) PROJECT GUTENBERG.*$", re.IGNORECASE | re.MULTILINE)
_OLD_START = re.compile(r"^\*END[* ]*THE SMALL PRINT.*$", re.IGNORECASE | re.MULTILINE)
_GUTENBERG_END = re.compile(
    r"^\W*(?:\*\*\*\s*END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?:the |this )?Project Gutenberg).*",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_CREDITS = re.compile(r"\A\s*(?:Produced by|E-text prepared by|Transcribed (?:from|by)).*?(?:\n\s*\n|\Z)", re.I | re.S)
_ITALICS = re.compile(r"(?<![^\W_])_([^_\n]+(?:\n[^_\n]+)?)_(?![^\W_])")
_QUOTES = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'"})


def story_text(raw: bytes, start: str = "", end: str = "") -> tuple[str, bool]:
    """The story in a downloaded file, and whether both markers were found.

    `start` and `end` are NarrativeQA's `story_start` and `story_end`: the first and last tokens of the story. Text is
    decoded (UTF-8, else Windows-1252; gzip is decompressed), extracted from HTML, and cut at the markers; Project
    Gutenberg's licence and its underscores for italics are removed. A side without its marker is not cut.
    """
    text = decoded(raw)
    if _LOOKS_LIKE_HTML.search(text[:20000]):
        text = visible_text(text)
    text, found = between(text, start, end)
    return _ITALICS.sub(r"\1", without_licence(text)).strip(), found


def decoded(raw: bytes) -> str:
    """Bytes as text: gzip is decompressed, a byte-order mark removed, line breaks are \\n."""
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MAX_STORY_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return ""  # truncated
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


class _Visible(HTMLParser):
    """Collects the text of a page, and separately the text inside <pre>, which film scripts use."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.everything: list[str] = []
        self.preformatted: list[str] = []
        self._hidden = self._pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in HIDDEN and tag != "head"
        self._pre += tag == "pre"
        if tag in BREAKS:
            self._add("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in HIDDEN and tag != "head"))
        if tag in BREAKS:
            self._add("\n")
        self._pre = max(0, self._pre - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        self._add(data)

    def _add(self, data: str) -> None:
        if not self._hidden:
            self.everything.append(data)
            if self._pre:
                self.preformatted.append(data)


def visible_text(page: str) -> str:
    """The text of an HTML page; only that inside <pre> when it is most of the page, as on script sites."""
    parser = _Visible()
    parser.feed(page)
    parser.close()
    everything, preformatted = "".join(parser.everything), "".join(parser.preformatted)
    return preformatted if len(preformatted.split()) * 2 > len(everything.split()) else everything


def between(text: str, start: str, end: str) -> tuple[str, bool]:
    """The text from the marker `start` through `end`, and whether both were found.

    Markers are tokens separated by spaces ("new eBooks ."), so white space is ignored in the comparison. The last
    occurrence of `end` counts.
    """
    places = [place for place, character in enumerate(text) if not character.isspace()]
    squeezed, head, tail = _squeezed(text), _marker(start), _marker(end)
    first, last = squeezed.find(head), squeezed.rfind(tail)
    begin = places[first] if head and first >= 0 else 0
    finish = places[last + len(tail) - 1] + 1 if tail and last >= max(first, 0) else len(text)
    return text[begin:finish], first >= 0 and last >= first


def _squeezed(text: str) -> str:
    """Without white space, with straight quotation marks: one character for each that is not a space."""
    return "".join(text.translate(_QUOTES).split())


def _marker(tokens: str) -> str:
    """A marker as it is compared; tokenizers wrote quotation marks as two characters."""
    return _squeezed(tokens.replace("``", '"').replace("''", '"'))


def without_licence(text: str) -> str:
    """A book without Project Gutenberg's licence and credits."""
    for pattern in (_GUTENBERG_START, _OLD_START):
        if found := pattern.search(text):
            text = text[found.end() :]
            break
    text = _GUTENBERG_END.sub("", text)
    return _CREDITS.sub("", text)


def unescaped(text: str) -> str:
    """Text with HTML entities resolved and single spaces."""
    return " ".join(html.unescape(text).split())
