"""HTML in the encodings of the web: nothing is lost after a byte that does not fit, and guesses are reported."""

from __future__ import annotations

import pytest

from fidtools import cli
from fidtools.data.read import read_passages
from fidtools.documents.html_encoding import page_text
from fidtools.documents.html_files import read_html

pytest.importorskip("lxml")

HINT = "; if it is another, add <meta charset=NAME>"


def texts(path):
    found = read_html(path)
    return [block.text for block in found.blocks], found.remark


@pytest.mark.parametrize(
    ("declared", "codec", "text"),
    [
        ("gb2312", "gb18030", "朱镕基 東 𠀀"),
        ("GBK", "gb18030", "朱镕基 東 𠀀"),
        ("shift_jis", "cp932", "手順①と髙橋"),
        ("x-sjis", "cp932", "手順①と髙橋"),
        ("windows-31j", "cp932", "手順①と髙橋"),
        ("euc-jp", "euc_jis_2004", "手順①と㈱"),
        ("iso-2022-jp", "iso2022_jp", "日本語の文"),
        ("big5", "big5hkscs", "中文 䏰 碁"),
        ("euc-kr", "cp949", "똠방각하"),
        ("ks_c_5601-1987", "cp949", "똠방각하"),
        ("iso-8859-1", "cp1252", "5 € it’s"),
        ("us-ascii", "cp1252", "5 € it’s"),
        ("iso-8859-9", "cp1254", "5 € ağ"),
        ("tis-620", "cp874", "ไทย € …"),
        ("windows-1251", "cp1251", "Привет"),
        ("koi8-r", "koi8-r", "Привет"),
        ("iso-8859-2", "iso8859-2", "żółw"),
    ],
)
def test_a_declared_name_means_the_larger_encoding(declared, codec, text, tmp_path):
    page = f'<html><head><meta charset="{declared}"></head><p>{text}</p><p>last</p></html>'
    (tmp_path / "a.html").write_bytes(page.encode(codec))
    assert texts(tmp_path / "a.html") == ([text, "last"], "")


@pytest.mark.parametrize(
    ("declared", "codec"),
    [("gb2312", "gb18030"), ("shift_jis", "cp932"), ("euc-jp", "euc_jis_2004"), ("big5", "big5hkscs")],
)
def test_a_byte_outside_of_an_encoding_costs_one_character(declared, codec, tmp_path):
    page = f'<meta charset="{declared}"><p>日本'.encode(codec) + b"\x81</p><p>" + "日本 last</p>".encode(codec)
    (tmp_path / "a.html").write_bytes(page)
    remark = f"1 character is not valid {codec} and became U+FFFD; is it in another encoding?"
    assert texts(tmp_path / "a.html") == (["日本\N{REPLACEMENT CHARACTER}", "日本 last"], remark)


@pytest.mark.parametrize(
    "head",
    [
        '<?xml version="1.0" encoding="iso-8859-1"?><html xmlns="http://www.w3.org/1999/xhtml">',
        "<meta http-equiv=Content-Type content='text/html; charset=ISO-8859-1'>",
        "<!-- <meta charset=koi8-r> --><meta name=x content='charset=koi8-r'><meta charset=latin1>",
        f"<style>{'p {} ' * 1000}</style><meta charset=iso-8859-1>",
    ],
)
def test_where_an_encoding_is_declared(head, tmp_path):
    (tmp_path / "a.xhtml").write_bytes(f"{head}<p>Zürich</p>".encode("latin-1"))
    assert texts(tmp_path / "a.xhtml") == (["Zürich"], "")


@pytest.mark.parametrize("declared", ["iso-8859-1", "shift_jis", "utf-16"])
def test_valid_utf8_is_that_whatever_is_declared(declared):
    page = f"<meta charset={declared}><p>Zürich</p>"
    assert page_text(page.encode()) == (page, "")


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_decides(codec):
    page = "<meta charset=koi8-r><p>Zürich</p>"
    assert page_text(f"\ufeff{page}".encode(codec)) == (page, "")


@pytest.mark.parametrize(
    ("page", "text", "remark"),
    [
        (b"<p>\x93caf\xe9\x94", "<p>“café”", "it declares no encoding and is not UTF-8: read as windows-1252" + HINT),
        (
            b"<meta charset=uft-8><p>caf\xe9",
            "<meta charset=uft-8><p>café",
            "it declares an unknown encoding, 'uft-8': read as windows-1252" + HINT,
        ),
        (
            b"<p>caf\xc3\xa9 na\xc3\xafve caf\xe9",
            "<p>café naïve caf\N{REPLACEMENT CHARACTER}",
            "it declares no encoding and is not UTF-8: read as UTF-8"
            f"{HINT}; 1 character is not valid UTF-8 and became U+FFFD; is it in another encoding?",
        ),
        (
            b"<meta charset=utf-8><p>caf\xe9 \xe9",
            "<meta charset=utf-8><p>caf\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}",
            "2 characters are not valid UTF-8 and became U+FFFD; is it in another encoding?",
        ),
    ],
)
def test_a_guess_is_reported(page, text, remark):
    assert page_text(page) == (text, remark)


@pytest.mark.parametrize(
    "label", ["rot13", "hex", "unicode_escape", "idna", "utf-7", "cp037", "undefined", "a&#1;b", ""]
)
def test_names_that_no_browser_knows_are_not_used(label):
    text, remark = page_text(f"<meta charset='{label}'><p>caf\xe9".encode("latin-1"))
    assert text.endswith("<p>café")
    assert remark.endswith(f": read as windows-1252{HINT}")


def test_nul_characters_are_dropped(tmp_path):
    (tmp_path / "a.html").write_bytes(b"<html>\0<p>o\0ne</p>" + b"<p>filler</p>" * 100 + b"\0<p>la\0st</p>")
    found, remark = texts(tmp_path / "a.html")
    assert (found[0], found[-1], len(found), remark) == ("one", "last", 102, "")


def test_the_warning_names_the_file(tmp_path, capfd):
    (tmp_path / "a.html").write_bytes(b"<meta charset=gb2312><p>one \xff\xff two</p>")
    assert cli.run(["chunk", str(tmp_path / "a.html"), "-o", str(tmp_path / "p.jsonl")]) == 0
    assert [p.text for p in read_passages(tmp_path / "p.jsonl")] == [
        "one \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} two"
    ]
    said = "a.html: 2 characters are not valid gb18030 and became U+FFFD; is it in another encoding?"
    assert said in capfd.readouterr().err
