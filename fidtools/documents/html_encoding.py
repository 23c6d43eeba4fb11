"""The characters of an HTML file, decoded as browsers do (WHATWG's Encoding standard and the sniffing of HTML, 13.2.3).

Decoding is not left to libxml2: it knows only the narrow tables behind names such as gb2312, and stops at the first
byte outside of them.
"""

from __future__ import annotations

import codecs
import re

MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
HEAD_BYTES = 1 << 16
"""In which a declaration is looked for."""
DEFAULT = "cp1252"
LABELS = {
    "cn-big5": "big5",
    "csgb2312": "gb2312",
    "dos-874": "cp874",
    "gb_2312-80": "gb2312",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-8-i": "iso-8859-8",
    "koi": "koi8-r",
    "koi8-ru": "koi8-u",
    "logical": "iso-8859-8",
    "unicode": "utf-16",
    "visual": "iso-8859-8",
    "windows-31j": "cp932",
    "windows-874": "cp874",
    "windows-949": "cp949",
}
"""Names of the standard that Python does not have."""
CODECS = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "euc_jp": "euc_jis_2004",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "shift_jis": "cp932",
    "tis-620": "cp874",
    "utf-16": "utf-8",  # the declaration was read as ASCII, so it cannot be true
    "utf-16-be": "utf-8",
    "utf-16-le": "utf-8",
}
"""The larger encoding that pages mean by the name of a smaller one, by Python's name for that."""
_OTHERS = re.compile(
    r"utf-8|gb18030|big5hkscs|cp(?:866|874|932|949|125[0-8])|koi8-[ru]|mac-(?:roman|cyrillic)|iso2022_jp"
    r"|iso8859-(?:[2-8]|10|13|14|15|16)"
)
_REPLACED = "\N{REPLACEMENT CHARACTER}"
_SEVEN_BIT = "iso2022_jp"  # every text in it is valid UTF-8 too
_SEVEN_BIT_NUMBER = b"2022"  # in each of its names
_XML = re.compile(rb"""\s*<\?xml[^>]*\sencoding\s*=\s*["']([^"'>]*)""")
_META = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';]+)""", re.IGNORECASE)


def page_text(data: bytes) -> tuple[str, str]:
    """The characters of a page without NUL, and a remark for the user where they may be wrong, else "".

    The encoding is that of its byte order mark, else UTF-8 where that fits, whatever is declared; else that in a meta
    element or the XML declaration; else UTF-8 with errors where most characters fit, else windows-1252. A byte that is
    not valid in it becomes U+FFFD.
    """
    for mark, codec in MARKS.items():
        if data.startswith(mark):
            return _decoded(data[len(mark) :], codec)
    valid, head = _valid_utf8(data), data[:HEAD_BYTES]
    if valid is not None and _SEVEN_BIT_NUMBER not in head:  # the usual page, without a look for its declaration
        return valid, ""
    label = _declared(head)
    codec = _codec(label)
    if valid is not None and codec != _SEVEN_BIT:
        return valid, ""
    if codec:
        return _decoded(data, codec)
    codec = "utf-8" if _mostly_utf8(data) else DEFAULT
    text, remark = _decoded(data, codec)
    wrong = f"declares an unknown encoding, {label[:40]!r}" if label else "declares no encoding and is not UTF-8"
    return text, "; ".join(
        filter(None, [f"it {wrong}: read as {_shown(codec)}; if it is another, add <meta charset=NAME>", remark])
    )


def _decoded(data: bytes, codec: str) -> tuple[str, str]:
    try:
        return data.decode(codec).replace("\0", ""), ""
    except UnicodeDecodeError:
        text = data.decode(codec, "replace").replace("\0", "")
        count = text.count(_REPLACED)
        what = "1 character is" if count == 1 else f"{count:,} characters are"
        return text, f"{what} not valid {_shown(codec)} and became U+FFFD; is it in another encoding?"


def _shown(codec: str) -> str:
    return codec.replace("cp125", "windows-125").replace("utf-", "UTF-")


def _valid_utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf-8").replace("\0", "")
    except UnicodeDecodeError:
        return None


def _mostly_utf8(data: bytes) -> bool:
    """Whether at least half of the characters beyond ASCII are valid UTF-8, which they hardly are by chance."""
    text = data.decode("utf-8", "replace")
    return 2 * text.count(_REPLACED) <= len(text) - len(text.encode("ascii", "ignore"))


def _codec(label: str) -> str:
    """Python's name of the encoding that a page means by this one; "" for none that browsers know."""
    name = label.strip().lower()
    while name.startswith("x-"):
        name = name[2:]
    try:
        found = codecs.lookup(LABELS.get(name, name)).name
    except (LookupError, ValueError):
        return ""
    found = CODECS.get(found, found)
    return found if _OTHERS.fullmatch(found) or found in CODECS.values() else ""


def _declared(head: bytes) -> str:
    """The encoding in the first meta element that has one, else in the XML declaration, else ""."""
    from lxml import etree

    parser = etree.HTMLParser(encoding="iso-8859-1", no_network=True, remove_comments=True, huge_tree=True)
    root = etree.fromstring(head.replace(b"\0", b"") or b" ", parser)
    for meta in () if root is None else root.iter("meta"):
        if label := meta.get("charset", "").strip():
            return str(label)
        content_type = meta.get("http-equiv", "").strip().lower() == "content-type"
        if content_type and (found := _META.search(meta.get("content", ""))):
            return found[1]
    return line[1].decode("ascii", "replace") if (line := _XML.match(head)) else ""
