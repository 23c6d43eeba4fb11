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
_FIELD = re.compile(r"^title[ \t]*[:=][ \t]*(?P<quote>[\"']?)(?P<title>\S.*?)(?P=quote)[ \t]*$", re.MULTILINE)
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
        if field := _FOLDED.search(matter["fields"]) or _FIELD.search(matter["fields"]):
            title = " ".join(field["title"].split())
    text = _COMMENTS.sub("", text)
    if heading := _HEADING.match(text) or _UNDERLINED.match(text):
        title, text = heading["title"], text[heading.end() :]
    return title, text
