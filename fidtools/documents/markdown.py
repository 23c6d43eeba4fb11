"""The title of a Markdown file, and the text without it."""

from __future__ import annotations

import re

_FRONT_MATTER = re.compile(
    r"\A(?P<mark>---|\+\+\+)[ \t]*\n(?P<fields>(?:[ \t]*(?:#[^\n]*)?\n)*[\w-]+[ \t]*[:=].*?)"
    r"^(?:(?P=mark)|\.\.\.)[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
"""What sites and notebooks put before a page: fields in YAML or TOML, after comments. YAML may also end in dots.

A line between rules begins with no field.
"""
_COMMENTS = re.compile(r"\A\s*(?:<!--.*?-->\s*)+", re.DOTALL)
"""HTML comments in front of all text, such as those with a license or for a linter: no page shows them."""
_FOLDED = re.compile(r"^title[ \t]*:[ \t]*[>|][-+]?[ \t]*\n(?P<title>(?:[ \t]+\S.*\n?)+)", re.MULTILINE)
"""A title on the lines below its name."""
_FIELD = re.compile(r"^title[ \t]*[:=][ \t]*(?P<title>\S.*?)[ \t]*$", re.MULTILINE)
_VALUE = re.compile(r"""(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^']|'')*)'|(?P<plain>.*?))(?:\s+#.*)?""")
"""A value on the line of its name, before a comment. A quote is `\\"` between double ones, `''` between single ones."""
_HEADING = re.compile(r"\A\s*#[ \t]+(?P<title>\S.*?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
_UNDERLINED = re.compile(r"\A\s*(?P<title>[^\s#>*+-].*?)[ \t]*\n=+[ \t]*$", re.MULTILINE)


def split_title(text: str) -> tuple[str, str]:
    """The title and the rest of the text, without front matter and HTML comments before it.

    The title is that of a heading of the first level at the beginning, else that of the front matter, else empty.

    >>> split_title("---\\ntitle: 'Mills'\\ndate: 2020\\n---\\nThey grind.")
    ('Mills', '\\nThey grind.')
    """
    title = ""
    if matter := _FRONT_MATTER.match(text):
        text = text[matter.end() :]
        title = _title_among(matter["fields"])
    text = _COMMENTS.sub("", text)
    if heading := _HEADING.match(text) or _UNDERLINED.match(text):
        title, text = heading["title"], text[heading.end() :]
    return title, text


def _title_among(fields: str) -> str:
    if folded := _FOLDED.search(fields):
        return " ".join(folded["title"].split())
    field = _FIELD.search(fields)
    value = _VALUE.fullmatch(field["title"]) if field else None
    if value is None or value["plain"] in ("null", "~"):
        return ""
    if value["double"] is not None:
        return re.sub(r"\\(.)", r"\1", value["double"])
    return str(value["plain"] or (value["single"] or "").replace("''", "'"))
