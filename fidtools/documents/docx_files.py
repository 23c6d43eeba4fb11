"""The text of Word files (DOCX): their paragraphs, also those in tables, each with the heading above it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fidtools.documents.content import Block, Content, UnreadableError, plain_text
from fidtools.documents.docx_text import EMBEDDED, FORMULA, PARAGRAPH, paragraph_text, remove_unshown
from fidtools.errors import MissingExtraError

MOST_FILES = 10_000
MOST_BYTES = 1 << 28
MOST_XML_BYTES = 1 << 26
"""Of the files in the archive, decompressed: all together, and each that is parsed."""
OLE = b"\xd0\xcf\x11\xe0"  # the container of encrypted and of older files
_HEADING = re.compile(r"(?:Heading \d|Title|Subtitle)\b")


def read_docx(path: Path) -> Content:
    """The paragraphs of the body. Headers, footers, comments, footnotes, deleted and hidden text are left out.

    Raises UnreadableError for a file that is encrypted, damaged or too large once decompressed, and MissingExtraError
    without python-docx.
    """
    try:
        import docx
    except ImportError as error:
        raise MissingExtraError("reading DOCX", "documents") from error
    _check_archive(path)
    try:
        file = docx.Document(str(path))
        blocks = list(_blocks(file))
        embedded = sum(1 for _ in file.element.body.iter(EMBEDDED))
        title = _title(file)
    except OSError:
        raise
    except Exception as error:  # whatever a damaged file makes the library raise
        strict = "relationships/officeDocument" in str(error)  # the name that only the usual form has for its text
        problem = (
            "in Strict Open XML: save it as a plain .docx" if strict else "damaged: open it in Word and save it again"
        )
        raise UnreadableError(problem) from error
    first = next((str(block.fields["heading"]) for block in blocks if "heading" in block.fields), "")
    return Content(blocks, title or first, f"files embedded in it that were not read: {embedded:,}" if embedded else "")


def _title(file: Any) -> str:
    """The title among a document's properties; a file without these would get a default one from the library."""
    from docx.opc.constants import RELATIONSHIP_TYPE

    kinds = {relation.reltype for relation in file.part.package.rels.values()}
    return plain_text(file.core_properties.title or "") if RELATIONSHIP_TYPE.CORE_PROPERTIES in kinds else ""


def _check_archive(path: Path) -> None:
    """Refuse an archive whose files are too large together: none decompresses to more than it declares."""
    with open(path, "rb") as stream:
        if stream.read(4) == OLE:
            raise UnreadableError("encrypted, or a .doc of older versions of Word")
    try:
        with zipfile.ZipFile(path) as archive:
            files = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UnreadableError("damaged: not a DOCX archive") from error
    if any(file.flag_bits & 1 for file in files):
        raise UnreadableError("encrypted")
    parsed = max((file.file_size for file in files if file.filename.endswith((".xml", ".rels"))), default=0)
    if len(files) > MOST_FILES or sum(file.file_size for file in files) > MOST_BYTES or parsed > MOST_XML_BYTES:
        raise UnreadableError("too large once decompressed")


def _blocks(file: Any) -> Iterator[Block]:
    from docx.text.paragraph import Paragraph

    remove_unshown(file.element.body, file.styles.element)
    heading = ""
    for element in file.element.body.iter(PARAGRAPH, FORMULA):
        is_formula = element.tag == FORMULA  # in a paragraph, or between two
        if is_formula and next(element.iterancestors(PARAGRAPH), None) is not None:
            continue
        if not (text := paragraph_text(element)):
            continue
        style = None if is_formula else Paragraph(element, file).style
        if style is not None and _HEADING.match(style.name or ""):
            heading = text
        yield Block(text, {"heading": heading} if heading else {})
