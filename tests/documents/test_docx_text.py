"""Which text of a Word file is read: what Word shows, once."""

from __future__ import annotations

import re
import zipfile

import pytest

from fidtools.documents.content import UnreadableError
from fidtools.documents.docx_files import read_docx

docx = pytest.importorskip("docx")

SPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)


def t(text, properties=""):
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def box(text):
    return f"<w:r><w:pict><w:txbxContent><w:p>{t(text)}</w:p></w:txbxContent></w:pict></w:r>"


def math(text):
    return f"<m:r><m:t>{text}</m:t></m:r>"


def saved(path, xml, styles=""):
    """A file whose body and styles have this XML added."""
    file = docx.Document()
    for target, added in ((file.element.body, xml), (file.styles.element, styles)):
        for element in reversed(docx.oxml.parse_xml(f"<w:x {SPACES}>{added}</w:x>")):
            target.insert(0, element)
    file.save(str(path / "a.docx"))
    return path / "a.docx"


def texts(path, xml, styles=""):
    return [block.text for block in read_docx(saved(path, xml, styles)).blocks]


def test_a_file_without_properties_has_no_title(tmp_path):
    with (
        zipfile.ZipFile(saved(tmp_path, f"<w:p>{t('text')}</w:p>")) as whole,
        zipfile.ZipFile(tmp_path / "b.docx", "w") as bare,
    ):
        for name in set(whole.namelist()) - {"docProps/core.xml"}:
            relation = rb"<Relationship [^>]*core-properties[^>]*/>" if name == "_rels/.rels" else rb"(?!)"
            bare.writestr(name, re.sub(relation, b"", whole.read(name)))
    assert read_docx(tmp_path / "b.docx").title == ""


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<w:r><w:t>well</w:t><w:noBreakHyphen/><w:t>known</w:t></w:r>", "well-known"),
        ("<w:r><w:t>soft</w:t><w:softHyphen/><w:t>ware</w:t></w:r>", "software"),
        ("<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:cr/><w:t>d</w:t></w:r>", "a b c d"),
        (t("no", "<w:vanish/>") + t("a") + t("b", '<w:vanish w:val="0"/>') + t("c", "<w:webHidden/>"), "abc"),
        (f"<w:moveFrom>{t('a')}</w:moveFrom><w:moveTo>{t('b')}</w:moveTo>", "b"),
        (f"<w:ins>{t('a')}</w:ins><w:del>{t('b')}<w:r><w:delText>c</w:delText></w:r></w:del>", "a"),
        (f"<w:ins><w:del>{t('a')}</w:del>{t('b')}</w:ins>", "b"),
        (
            f"<w:hyperlink>{t('a')}</w:hyperlink><w:smartTag>{t('b')}</w:smartTag>"
            f"<w:sdt><w:sdtContent>{t('c')}</w:sdtContent></w:sdt><w:fldSimple w:instr='DATE'>{t('d')}</w:fldSimple>",
            "abcd",
        ),
        (
            '<w:r><w:fldChar w:fldCharType="begin"/><w:instrText>PAGE</w:instrText>'
            '<w:fldChar w:fldCharType="separate"/><w:t>7</w:t><w:fldChar w:fldCharType="end"/></w:r>',
            "7",
        ),
        (
            f"<w:r><w:ruby><w:rt>{t('とう')}</w:rt><w:rubyBase>{t('東')}</w:rubyBase></w:ruby></w:r>{t('京')}",
            "東京",
        ),
        (f"{t('a')}<w:r><w:footnoteReference w:id='1'/><w:commentReference w:id='1'/></w:r>{t('b')}", "ab"),
    ],
)
def test_what_a_paragraph_shows(inside, expected, tmp_path):
    assert texts(tmp_path, f"<w:p>{inside}</w:p>") == [expected]


@pytest.mark.parametrize("change", ["del", "moveFrom"])
def test_paragraphs_whose_end_is_deleted_are_one(change, tmp_path):
    end = f'<w:pPr><w:rPr><w:{change} w:id="1" w:author="a"/></w:rPr></w:pPr>'
    heading = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
    parts = f"<w:p>{end}{t('to')}</w:p><w:p>{end}{t('ge')}</w:p><w:p>{heading}{t('ther')}</w:p><w:p>{t('next')}</w:p>"
    table = f"<w:p>{end}{t('over')}</w:p><w:tbl><w:tr><w:tc><w:p>{end}{t('cell')}</w:p></w:tc></w:tr></w:tbl>"
    assert texts(tmp_path, parts + table) == ["together", "next", "over", "cell"]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (math("E=m") + f"<m:sSup><m:e>{math('c')}</m:e><m:sup>{math('2')}</m:sup></m:sSup>", "E=mc2"),
        (f"<m:f><m:num>{math('1')}</m:num><m:den>{math('2')}</m:den></m:f>", "1/2"),
        (f"<m:m>{f'<m:mr><m:e>{math(1)}</m:e><m:e>{math(0)}</m:e></m:mr>' * 2}</m:m>", "1 0 1 0"),
    ],
)
def test_formulas_are_text(formula, expected, tmp_path):
    inside = f"{t('is ')}<m:oMathPara><m:oMath>{formula}</m:oMath></m:oMathPara>"
    assert texts(tmp_path, f"<w:p>{inside}</w:p>") == [f"is {expected}"]


def test_strict_open_xml_is_named(tmp_path):
    plain = saved(tmp_path, f"<w:p>{t('one')}</w:p>")
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "strict.docx", "w") as new:
        for name in old.namelist():
            space = b"http://schemas.openxmlformats.org/officeDocument/2006/"
            new.writestr(name, old.read(name).replace(space, b"http://purl.oclc.org/ooxml/officeDocument/"))
    with pytest.raises(UnreadableError, match="in Strict Open XML: save it as a plain .docx"):
        read_docx(tmp_path / "strict.docx")


def test_a_formula_between_paragraphs_is_read(tmp_path):
    formula = f"<m:oMathPara><m:oMath>{math('a=b')}</m:oMath><m:oMath>{math('c=d')}</m:oMath></m:oMathPara>"
    assert texts(tmp_path, f"<w:p>{t('one')}</w:p>{formula}<w:p>{t('two')}</w:p>") == ["one", "a=b", "c=d", "two"]


@pytest.mark.parametrize(
    ("font", "code", "expected"),
    [
        ("Symbol", "F061", "TNFα"),
        ("Symbol", "0061", "TNFα"),
        ("Symbol", "F0B3", "TNF≥"),
        ("Symbol", "F0FF", "TNF"),
        ("Arial", "00E9", "TNFé"),
        ("Arial", "F061", "TNF"),
        ("Arial", "D800", "TNF"),
        ("Wingdings", "F0E0", "TNF"),
        ("Wingdings", "00E0", "TNF"),
        ("", "-1", "TNF"),
        ("", "no", "TNF"),
        ("", "FFFFFFFF", "TNF"),
    ],
)
def test_symbols(font, code, expected, tmp_path):
    assert texts(tmp_path, f'<w:p>{t("TNF")}<w:r><w:sym w:font="{font}" w:char="{code}"/></w:r></w:p>') == [expected]


def test_a_text_box_is_read_once(tmp_path):
    choice, fallback = f'<mc:Choice Requires="wps">{box("box")}</mc:Choice>', f"<mc:Fallback>{box('box')}</mc:Fallback>"
    both = f"<w:r><mc:AlternateContent>{choice}{fallback}</mc:AlternateContent></w:r>"
    assert texts(tmp_path, f"<w:p>{t('be')}{both}{t('fore')}</w:p>") == ["before", "box"]
    empty = f'<w:r><mc:AlternateContent><mc:Choice Requires="x"/>{fallback}</mc:AlternateContent></w:r>'
    assert texts(tmp_path, f"<w:p>{empty}</w:p>") == ["box"]


def test_nested_tables_and_controls(tmp_path):
    inner = f"<w:tbl><w:tr><w:tc><w:p>{t('b')}</w:p></w:tc></w:tr></w:tbl>"
    outer = f"<w:tbl><w:tr><w:tc><w:p>{t('a')}</w:p>{inner}<w:p>{t('c')}</w:p></w:tc></w:tr></w:tbl>"
    control = f"<w:sdt><w:sdtContent><w:p>{t('d')}</w:p></w:sdtContent></w:sdt>"
    assert texts(tmp_path, outer + control) == ["a", "b", "c", "d"]


def test_text_hidden_by_a_style(tmp_path):
    def style(kind, name, base, properties):
        inside = f'<w:basedOn w:val="{base}"/><w:rPr>{properties}</w:rPr>'
        return f'<w:style w:type="{kind}" w:styleId="{name}"><w:name w:val="{name}"/>{inside}</w:style>'

    styles = (
        style("paragraph", "Secret", "Normal", "<w:vanish/>")
        + style("paragraph", "Below", "Secret", "")
        + style("character", "Quiet", "Circle", "<w:vanish/>")
        + style("character", "Circle", "Circle", "")
    )
    styled = [f'<w:p><w:pPr><w:pStyle w:val="{name}"/></w:pPr>{t(name)}</w:p>' for name in ("Secret", "Below")]
    runs = t("quiet", '<w:rStyle w:val="Quiet"/>') + t("shown", '<w:rStyle w:val="Circle"/>')
    again = styled[0].replace("<w:rPr>", '<w:rPr><w:vanish w:val="false"/>').replace("Secret</w:t>", "again</w:t>")
    assert texts(tmp_path, f"{''.join(styled)}<w:p>{runs}</w:p>{again}", styles) == ["shown", "again"]


def test_embedded_files_are_reported(tmp_path):
    path = saved(tmp_path, f"<w:p>{t('a')}</w:p><w:altChunk/>")
    assert read_docx(path).remark == "files embedded in it that were not read: 1"
