"""Corpora of other systems as passages."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.record_parsing import parse_passage
from fidtools.data.records import Location, Passage
from fidtools.logs import log

BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}", "-COLON-": ":"}


def read_contents(path: PathLike) -> Iterator[Passage]:
    """Pyserini's and FlashRAG's `{"id", "contents"}`: title and text parted by the first tab or line break, if any."""
    for number, record in read_json(path):
        where = Location(path, number)
        contents = record.get("contents")
        if not isinstance(contents, str):
            raise where.error("must be a text", "contents", contents)
        cut = min((at for at in (contents.find("\t"), contents.find("\n")) if at >= 0), default=None)
        title, text = ("", contents) if cut is None else (contents[:cut], contents[cut + 1 :])
        rest = {name: value for name, value in record.items() if name != "contents"}
        yield parse_passage({"title": title.strip('"'), **rest, "text": text}, where)


def read_fever_wiki(path: PathLike) -> Iterator[Passage]:
    """FEVER's wiki-pages: one page a line. Empty pages are left out; `lines` (sentences with their links) is kept."""
    empty = 0
    for number, record in read_json(path):
        name = record.get("id")
        if not name:
            empty += 1
            continue
        passage = parse_passage({**record, "title": page_title(str(name))}, Location(path, number))
        yield passage
    if empty:
        log.info("%s: %d pages without id and text left out", path, empty)


def page_title(page: str) -> str:
    """A page's name as people write it: FEVER has `_` for a space, `-LRB-` for a bracket. NFC, as claims have it."""
    for code, sign in BRACKETS.items():
        page = page.replace(code, sign)
    return unicodedata.normalize("NFC", page.replace("_", " "))


def read_beir_corpus(path: PathLike) -> Iterator[Passage]:
    """BEIR's corpus.jsonl: `_id`, `title`, `text`; the metadata is kept."""
    for number, record in read_json(path):
        yield parse_passage(record, Location(path, number))
