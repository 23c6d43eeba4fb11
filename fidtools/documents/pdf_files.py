"""The text of PDF files, page by page."""

from __future__ import annotations

import contextlib
import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fidtools.documents.content import MOST_CHARACTERS, Block, Content, UnreadableError, plain_text
from fidtools.errors import MissingExtraError

MOST_BYTES = 1 << 30
MOST_PAGES = 100_000
MOST_PAGE_BYTES = 1 << 26
"""Of the drawing instructions of one page, decompressed; the library itself bounds what it decompresses."""
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\N{HYPHEN}]\n(?=[^\W\d_A-Z])")
"""A hyphen at the end of a line between letters, of which the second is lower case: the word goes on."""
_PAGE_END = re.compile(r"(?<=[^\W\d_])[-\N{HYPHEN}]\s*\Z")
_PAGE_BEGINNING = re.compile(r"\s*([^\W\d_A-Z]\S*)\s+(?=\S)")
"""The same between two pages; the word stays with the first one."""
_SHAPES = re.compile("[\u2f00-\u2fd5\ufb00-\ufdff\ufe70-\ufefc]+")
"""Kangxi radicals, ligatures such as fi, and forms of Arabic letters: the glyph that is drawn, not the letter meant."""


def read_pdf(path: Path) -> Content:
    """The pages with text, each with its number from 1 as `page`; words that are hyphenated at the ends of lines and
    pages are joined.

    Ligatures and other shapes of letters, of which a PDF may consist, become the letters that search knows.

    Raises UnreadableError for a file that is encrypted, damaged, or has no text (scanned pages), and MissingExtraError
    without pypdf.
    """
    try:
        import pypdf
    except ImportError as error:
        raise MissingExtraError("reading PDF", "documents") from error
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its remarks on each odd object
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableError(f"larger than {MOST_BYTES >> 20} MiB")
    try:
        with open(path, "rb") as stream:
            return _content(pypdf.PdfReader(stream, strict=False))
    except UnreadableError:
        raise
    except pypdf.errors.FileNotDecryptedError as error:
        raise UnreadableError("encrypted") from error
    except OSError:
        raise
    except Exception as error:  # whatever a damaged file makes the library raise, also RecursionError and MemoryError
        raise UnreadableError("damaged: a PDF viewer may still print it to a new file") from error


def _content(reader: Any) -> Content:
    if reader.is_encrypted and not _opens_without_password(reader):
        raise UnreadableError("encrypted")
    total = len(reader.pages)
    if total > MOST_PAGES:
        raise UnreadableError(f"more than {MOST_PAGES:,} pages")
    blocks = list(_joined(_pages(reader)))
    if not blocks:
        raise UnreadableError(f"no text in its {total} pages: scanned? OCR can add it" if total else "it has no pages")
    without = total - len(blocks)
    remarks = [f"{without} of {total} pages have no text"] if without else []
    return Content(blocks, _title(reader), "; ".join(remarks + _not_read(reader)))


def _not_read(reader: Any) -> list[str]:
    """Remarks on text that is on no page: what somebody wrote into a form, and attached files."""
    fields, files = 0, 0
    with contextlib.suppress(Exception):  # whatever a damaged file makes the library raise: its pages were read
        found = (reader.get_fields() or {}).values()
        fields = sum(bool(field.get("/V")) for field in found if field.get("/FT") in ("/Tx", "/Ch"))
    with contextlib.suppress(Exception):
        files = len(reader.attachments)
    counts = {"filled form fields": fields, "attached files": files}
    return [f"{what} that were not read: {count:,}" for what, count in counts.items() if count]


def _opens_without_password(reader: Any) -> bool:
    """Whether the file is readable by everyone, and only its changes are protected."""
    from pypdf.errors import DependencyError

    try:
        return bool(reader.decrypt(""))
    except DependencyError:  # for AES, pypdf needs another package
        return False


def _pages(reader: Any) -> Iterator[Block]:
    length = 0
    for number, page in enumerate(reader.pages, 1):
        contents = page.get_contents()
        if contents is None or len(contents.get_data()) > MOST_PAGE_BYTES:
            continue
        text = _SHAPES.sub(lambda found: unicodedata.normalize("NFKC", found[0]), page.extract_text())
        text = _HYPHEN.sub("", text.replace("\u00ad", "-"))  # a page shows a soft hyphen, so it is a hyphen
        length += len(text)
        if length > MOST_CHARACTERS:
            raise UnreadableError(f"more than {MOST_CHARACTERS:,} characters")
        if text.strip():
            yield Block(text, {"page": number})


def _joined(pages: Iterable[Block]) -> Iterator[Block]:
    """The pages, with the end of a hyphenated word on the page where it begins."""
    before = None
    for page in pages:
        if before is not None:
            rest = _PAGE_BEGINNING.match(page.text) if _PAGE_END.search(before.text) else None
            if rest:
                before = replace(before, text=_PAGE_END.split(before.text)[0] + rest[1])
                page = replace(page, text=page.text[rest.end() :])
            yield before
        before = page
    if before is not None:
        yield before


def _title(reader: Any) -> str:
    """The title in the file's properties, unless it is a file's name, as programs write it there."""
    found = reader.metadata.title if reader.metadata else None
    title = plain_text(str(found or ""))
    return "" if re.search(r"\.\w{2,4}$|^Microsoft|^untitled", title, re.IGNORECASE) else title
