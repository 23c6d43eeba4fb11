"""The text of a Word file's paragraphs as it is shown: without what is deleted, moved away or hidden."""

from __future__ import annotations

import string
from typing import Any

from fidtools.documents.content import plain_text

_SPACES = {
    "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
    "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
}
_GREEK = "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖαβχδεφγηιϕκλμνοπθρστυϖωξψζ"
_SYMBOL = dict(zip(string.ascii_uppercase + string.ascii_lowercase, _GREEK, strict=True)) | dict(
    zip("\xa3\xa5\xae\xb0\xb1\xb3\xb4\xb8\xb9\xbb", "≤∞→°±≥×÷≠≈", strict=True)
)
"""Characters of the font Symbol, by those of their codes."""


def _tag(name: str) -> str:
    space, _, local = name.partition(":")
    return f"{{{_SPACES[space]}}}{local}"


PARAGRAPH, FORMULA, EMBEDDED = _tag("w:p"), _tag("m:oMath"), _tag("w:altChunk")
_TEXTS = (_tag("w:t"), _tag("m:t"))
_FIXED = {
    _tag("w:tab"): " ",
    _tag("w:ptab"): " ",
    _tag("w:br"): " ",
    _tag("w:cr"): " ",
    _tag("w:noBreakHyphen"): "-",  # not U+2011: people search for, and models know, the hyphen on the keyboard
    _tag("m:den"): "/",
    _tag("m:mr"): " ",
}
_SYM, _ELEMENT, _STYLE = _tag("w:sym"), _tag("m:e"), _tag("w:style")
_UNREAD = (_tag("w:del"), _tag("w:moveFrom"), _tag("w:rt"))
_PROPERTIES, _BLOCKS = _tag("w:pPr"), (_tag("w:tbl"), _tag("w:sdt"))
_RUNS = (_tag("w:r"), _tag("m:r"))
_ALTERNATIVES = _tag("mc:AlternateContent")
_VALUE = _tag("w:val")


def paragraph_text(paragraph: Any) -> str:
    """The text of a paragraph, or of a formula outside of any, with single spaces.

    Without that of the text boxes in it, which have paragraphs.
    """
    parts = []
    for each in paragraph.iter(*_TEXTS, *_FIXED, _SYM, _ELEMENT):
        if next(each.iterancestors(PARAGRAPH), paragraph) is not paragraph:
            continue
        if each.tag in _TEXTS:
            parts.append(each.text or "")
        elif each.tag == _SYM:
            parts.append(_symbol(each))
        else:  # of several elements of a formula, the second and later ones are set apart
            parts.append(_FIXED.get(each.tag) or " " * (getattr(each.getprevious(), "tag", "") == _ELEMENT))
    return plain_text("".join(parts))


def remove_unshown(body: Any, styles: Any) -> None:
    """Remove what is deleted, moved away or hidden, also by a style, readings, and all but one of several forms."""
    hidden = _hidden_styles(styles)
    for paragraph in list(body.iter(PARAGRAPH)):
        _join_if_end_is_deleted(paragraph)
    for element in list(body.iter(*_UNREAD)):
        element.getparent().remove(element)
    for element in list(body.iter(_ALTERNATIVES)):  # the same text box for newer and older versions of Word
        shown = next((form for form in element if next(form.iter(*_TEXTS), None) is not None), None)
        for form in list(element):
            if form is not shown:
                element.remove(form)
    for run in list(body.iter(*_RUNS)):
        if _is_hidden(run, hidden):
            run.getparent().remove(run)


def _join_if_end_is_deleted(paragraph: Any) -> None:
    """Move what a paragraph holds into the next one, where the end of it is deleted or moved away."""
    mark = paragraph.find("w:pPr/w:rPr", _SPACES)
    if mark is None or all(mark.find(name, _SPACES) is None for name in ("w:del", "w:moveFrom")):
        return
    following = next((each for each in paragraph.itersiblings() if each.tag in (PARAGRAPH, *_BLOCKS)), None)
    if following is None or following.tag != PARAGRAPH:
        return
    place = 0 if following.find("w:pPr", _SPACES) is None else 1
    for part in reversed([each for each in paragraph if each.tag != _PROPERTIES]):
        following.insert(place, part)
    paragraph.getparent().remove(paragraph)


def _is_hidden(run: Any, styles: set[str]) -> bool:
    if (own := _vanishes(run)) is not None:
        return own
    paragraph = next(run.iterancestors(PARAGRAPH), None)
    names = [run.find("w:rPr/w:rStyle", _SPACES)]
    if paragraph is not None:
        names.append(paragraph.find("w:pPr/w:pStyle", _SPACES))
    return any(name is not None and name.get(_VALUE) in styles for name in names)


def _vanishes(element: Any) -> bool | None:
    """Whether a run or style says that its text is hidden; None if it says nothing."""
    found = element.find("w:rPr/w:vanish", _SPACES)
    return None if found is None else found.get(_VALUE, "1") not in ("0", "false", "off")


def _hidden_styles(styles: Any) -> set[str]:
    """The ids of styles whose text is hidden, also through the style that they are based on."""
    by_id = {str(style.get(_tag("w:styleId"))): style for style in styles.iter(_STYLE)}

    def hidden(name: str) -> bool:
        seen = set[str]()
        while name in by_id and name not in seen:  # a damaged file may go round in circles
            seen.add(name)
            if (own := _vanishes(by_id[name])) is not None:
                return own
            base = by_id[name].find("w:basedOn", _SPACES)
            name = "" if base is None else str(base.get(_VALUE))
        return False

    return {name for name in by_id if hidden(name)}


def _symbol(element: Any) -> str:
    """The character of a symbol; a space for one that only its font knows, such as the arrows of Wingdings."""
    font = element.get(_tag("w:font"), "")
    try:
        code = int(element.get(_tag("w:char"), ""), 16)
    except ValueError:
        return " "
    if font == "Symbol" and (0 <= code <= 0xFF or 0xF000 <= code <= 0xF0FF):
        return _SYMBOL.get(chr(code & 0xFF), " ")
    plain = 0 <= code <= 0x10FFFF and chr(code).isprintable()  # not so of what is private to a font
    return chr(code) if plain and not font.startswith(("Wingdings", "Webdings")) else " "
