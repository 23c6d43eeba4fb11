"""HTML, PDF and DOCX into passages with page and heading; what cannot be read is named, and nothing fails on it."""

from __future__ import annotations

import contextlib
import io
import random
import sys
import zipfile
from pathlib import Path

import pytest

from fidtools import cli
from fidtools.data.read import read_passages
from fidtools.documents import content, docx_files, html_files
from fidtools.documents.content import Block, UnreadableError
from fidtools.documents.docx_files import read_docx
from fidtools.documents.html_files import read_html
from fidtools.documents.pdf_files import read_pdf
from fidtools.documents.reading import PACKAGES, READERS, read_documents

docx = pytest.importorskip("docx")
pypdf = pytest.importorskip("pypdf")
pytest.importorskip("lxml")

HTML = """<!DOCTYPE html><html><head><title>The  handbook</title><style>p {color: red}</style></head><body>
<nav><a href=/>Home</a></nav>
<h1>Doors &amp; windows</h1><p>Close the <b>door</b>s.<p>Open the<br>windows.
<script>alert("no")</script>
<h2>Keys</h2><ul><li>One</li><li>Two</li></ul><table><tr><td>a</td><td>b</td></tr></table>tail
<footer>Imprint</footer></body></html>"""


def pdf(*pages: str, encoding: str = "/WinAnsiEncoding") -> bytes:
    """A PDF with these lines of text on its pages; an empty page has none, as a scanned one."""
    font = f"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding {encoding} >>"
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", font]
    kids = []
    for page in pages:
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in page.split("\n") if line)
        stream = f"BT /F1 12 Tf 72 720 Td {lines}ET" if page else ""
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        resources = "<< /Font << /F1 3 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R /Resources {resources} /Contents {len(objects)} 0 R >>")
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} /MediaBox [0 0 612 792] >>"
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{offset:010} 00000 n \n".encode() for offset in offsets)
    return out + f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()


def word(path: Path) -> Path:
    file = docx.Document()
    file.add_paragraph("Safety", style="Title")
    file.add_paragraph("Before all.")
    file.add_heading("Doors", 1)
    file.add_paragraph("Close\tthem\nall.")
    table = file.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    file.add_heading("Keys", 2)
    file.add_paragraph("")
    file.add_paragraph("Lock them.")
    file.save(str(path))
    return path


def test_html(tmp_path):
    (tmp_path / "a.html").write_text(HTML)
    found = read_html(tmp_path / "a.html")
    assert found.title == "The handbook"
    assert [(block.text, block.fields) for block in found.blocks] == [
        (text, {"heading": heading})
        for heading, texts in {
            "Doors & windows": ["Doors & windows", "Close the doors.", "Open the", "windows."],
            "Keys": ["Keys", "One", "Two", "a", "b", "tail"],
        }.items()
        for text in texts
    ]


@pytest.mark.parametrize(("suffix", "expected"), [("xhtml", "a if (x < 1 && y) b"), ("html", "a b")])
def test_a_cdata_section_is_text_in_xhtml(suffix, expected, tmp_path):
    script = '<script>//<![CDATA[\nwrite("<p>no</p>");\n//]]></script>'
    page = f"<html><body>{script}<p>a <![CDATA[if (x < 1 && y)]]> b</p><!-- <![CDATA[ hidden ]]> --></body></html>"
    (tmp_path / f"a.{suffix}").write_text(page)
    assert [block.text for block in read_html(tmp_path / f"a.{suffix}").blocks] == [expected]


def test_html_with_a_main_element_is_that(tmp_path):
    (tmp_path / "a.html").write_text("<p>menu</p><main><h1>Title</h1>text</main>after")
    found = read_html(tmp_path / "a.html")
    assert (found.title, [block.text for block in found.blocks]) == ("Title", ["Title", "text"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "iso-8859-1", "utf-16"])
def test_html_in_another_encoding(encoding, tmp_path):
    text = f'<html><head><meta charset="{encoding.removesuffix("-sig")}"></head><p>Fünf Türen</html>'
    (tmp_path / "a.html").write_bytes(text.encode(encoding))
    assert [block.text for block in read_html(tmp_path / "a.html").blocks] == ["Fünf Türen"]


def test_html_reads_no_other_file_and_expands_no_entity(tmp_path):
    (tmp_path / "secret").write_text("SECRET")
    bomb = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "boom"}">' for i in range(10))
    outside = f'<!ENTITY x SYSTEM "file://{tmp_path}/secret">'
    page = f'<?xml version="1.0"?><!DOCTYPE html [{bomb}{outside}]><html><body><p>a &x; &e9; b</p></body></html>'
    (tmp_path / "a.xhtml").write_text(page)
    text = " ".join(block.text for block in read_html(tmp_path / "a.xhtml").blocks)
    assert "SECRET" not in text
    assert len(text) < 2000


def test_deeply_nested_html_is_read_or_said_not_to_be(tmp_path):
    (tmp_path / "a.html").write_text("<div>" * 100_000 + "deep" + "<p>after</p>")
    found = read_html(tmp_path / "a.html")
    assert found.remark or [block.text for block in found.blocks] == ["deep", "after"]


def test_pdf(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf("First page of the hand-\nbook, well-\nKnown.", "", "Third page."))
    found = read_pdf(tmp_path / "a.pdf")
    assert [(" ".join(block.text.split()), block.fields) for block in found.blocks] == [
        ("First page of the handbook, well- Known.", {"page": 1}),
        ("Third page.", {"page": 3}),
    ]
    assert found.remark == "1 of 3 pages have no text"


def test_a_word_that_is_hyphenated_at_the_end_of_a_page_is_joined(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf("The hand-", "book, the well-", "Known door-", "bell", "1990-", "s"))
    assert [(block.text.strip(), block.fields["page"]) for block in read_pdf(tmp_path / "a.pdf").blocks] == [
        ("The handbook,", 1),
        ("the well-", 2),
        ("Known door-", 3),
        ("bell", 4),
        ("1990-", 5),
        ("s", 6),
    ]


def test_docx(tmp_path):
    found = read_docx(word(tmp_path / "a.docx"))
    assert found.title == "Safety"
    assert [(block.text, block.fields["heading"]) for block in found.blocks] == [
        ("Safety", "Safety"),
        ("Before all.", "Safety"),
        ("Doors", "Doors"),
        ("Close them all.", "Doors"),
        ("left", "Doors"),
        ("right", "Doors"),
        ("Keys", "Keys"),
        ("Lock them.", "Keys"),
    ]


INVISIBLE = "\u00ad\u200b\u2060\ufeff"


def test_characters_of_the_layout_are_dropped(tmp_path):
    split = "".join(f"{letter}{INVISIBLE}" for letter in "word")
    page = f"<title>{split}</title><h1>so&shy;ft</h1><p>{split} lon&#8203;ger a&#8205;b</p>{INVISIBLE}"
    (tmp_path / "a.html").write_text(page)
    found = read_html(tmp_path / "a.html")
    assert found.title == "word"
    assert found.blocks == [Block(text, {"heading": "soft"}) for text in ("soft", "word longer a\u200db")]
    file = docx.Document()
    file.core_properties.title = split
    file.add_heading(split, 1)
    file.save(str(tmp_path / "a.docx"))
    found = read_docx(tmp_path / "a.docx")
    assert (found.title, found.blocks) == ("word", [Block("word", {"heading": "word"})])
    assert content.document("a", "", [Block(split)]).text == "word"
    (tmp_path / "a.md").write_text(f"# {split}\n\n{split}\n")
    (document,) = read_documents([tmp_path / "a.md"])
    assert (document.title, document.text.strip()) == ("word", "word")


def test_a_soft_hyphen_of_a_pdf_is_shown_and_so_a_hyphen(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf("well\\255known soft\\255\nware"))
    assert [block.text.strip() for block in read_pdf(tmp_path / "a.pdf").blocks] == ["well-known software"]


def test_forms_and_attached_files_of_a_pdf_are_reported(tmp_path):
    writer = pypdf.PdfWriter(clone_from=pypdf.PdfReader(_stream(pdf("text"))))
    writer.add_attachment("a.txt", b"attached")
    name = pypdf.generic.NameObject
    fields = [
        pypdf.generic.DictionaryObject(
            {
                name("/FT"): name("/Tx"),
                name("/T"): pypdf.generic.TextStringObject(f"field {value}"),
                name("/V"): pypdf.generic.TextStringObject(value),
            }
        )
        for value in ("written", "")
    ]
    form = {name("/Fields"): pypdf.generic.ArrayObject([writer._add_object(field) for field in fields])}
    writer.root_object[name("/AcroForm")] = pypdf.generic.DictionaryObject(form)
    writer.write(str(tmp_path / "a.pdf"))
    found = read_pdf(tmp_path / "a.pdf")
    assert found.remark == "filled form fields that were not read: 1; attached files that were not read: 1"


def test_shapes_of_letters_in_a_pdf_become_letters(tmp_path):
    glyphs = "<< /BaseEncoding /WinAnsiEncoding /Differences [1 /fi /ffi /uni2F47 /ff /uni2010 /twosuperior] >>"
    (tmp_path / "a.pdf").write_bytes(
        pdf("\\001sh o\\002ce \\003 o\\004 x\\006 well\\005known soft\\005\nware", encoding=glyphs)
    )
    found = "fish office \N{CJK UNIFIED IDEOGRAPH-65E5} off x² well‐known software"
    assert [block.text.strip() for block in read_pdf(tmp_path / "a.pdf").blocks] == [found]


def test_passages_have_the_page_and_heading_where_they_begin(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(pdf("one two three", "four five"))
    word(folder / "b.docx")
    (folder / "c.html").write_text(HTML)
    (folder / "d.txt").write_text("plain")
    assert cli.run(["chunk", str(folder), "--words", "2", "-q", "-o", str(tmp_path / "p.jsonl")]) == 0
    found = {p.id: (p.text, p.title, p.extra) for p in read_passages(tmp_path / "p.jsonl")}
    assert found["a-0"] == ("one two", "a", {"page": 1})
    assert found["a-1"] == ("three four", "a", {"page": 1})
    assert found["a-2"] == ("five", "a", {"page": 2})
    assert found["b-2"] == ("Close them", "Safety", {"heading": "Doors"})
    assert found["c-5"] == ("One Two", "The handbook", {"heading": "Keys"})
    assert found["d-0"] == ("plain", "d", {})


@pytest.fixture
def bad(tmp_path):
    """A folder with one good file and one of every kind that cannot be read."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.txt").write_text("good")
    writer = pypdf.PdfWriter(clone_from=pypdf.PdfReader(_stream(pdf("secret"))))
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(str(folder / "locked.pdf"))
    (folder / "scan.pdf").write_bytes(pdf("", ""))
    (folder / "cut.pdf").write_bytes(pdf("text")[:60])
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "empty.html").write_text("<html><body><script>x</script></body></html>")
    (folder / "binary.html").write_bytes(b"\x7fELF\0\0\0" * 100)
    (folder / "old.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 100)
    (folder / "text.docx").write_text("no archive")
    with zipfile.ZipFile(folder / "zip.docx", "w") as archive:
        archive.writestr("x.txt", "x")
    with zipfile.ZipFile(folder / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * (docx_files.MOST_XML_BYTES + 1))
    return folder


def _stream(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)


def test_what_cannot_be_read_is_named_and_counted(bad, tmp_path, capfd):
    assert cli.run(["chunk", str(bad), "-o", str(tmp_path / "p.jsonl")]) == 0
    said = capfd.readouterr().err
    assert [p.id for p in read_passages(tmp_path / "p.jsonl")] == ["good-0"]
    reasons = dict(line.split(": not read: ") for line in said.splitlines() if ": not read: " in line)
    assert {Path(name).name: reason for name, reason in reasons.items()} == {
        "locked.pdf": "encrypted",
        "scan.pdf": "no text in its 2 pages: scanned? OCR can add it",
        "cut.pdf": "damaged: a PDF viewer may still print it to a new file",
        "empty.pdf": "damaged: a PDF viewer may still print it to a new file",
        "empty.html": "it contains no text",
        "binary.html": "not HTML but binary data",
        "old.docx": "encrypted, or a .doc of older versions of Word",
        "text.docx": "damaged: not a DOCX archive",
        "zip.docx": "damaged: open it in Word and save it again",
        "bomb.docx": "too large once decompressed",
    }
    assert "10 of 11 documents could not be read" in said
    assert len(said.splitlines()) == 12


def test_nothing_readable_is_an_error(bad, tmp_path, capfd):
    (bad / "good.txt").unlink()
    assert cli.run(["chunk", str(bad), "-o", str(tmp_path / "p.jsonl")]) == 1
    assert capfd.readouterr().err.splitlines()[-1] == "fidtools: none of the 10 documents could be read"
    assert not (tmp_path / "p.jsonl").exists()


def test_a_file_that_only_restricts_changes_is_read(tmp_path):
    writer = pypdf.PdfWriter(clone_from=pypdf.PdfReader(_stream(pdf("public"))))
    writer.encrypt("", owner_password="owner", algorithm="RC4-128")
    writer.write(str(tmp_path / "a.pdf"))
    assert [block.text.strip() for block in read_pdf(tmp_path / "a.pdf").blocks] == ["public"]


@pytest.mark.parametrize("kind", ["pdf", "docx", "html"])
def test_damaged_files_are_read_or_refused(kind, tmp_path):
    word(tmp_path / "a.docx")
    whole = {"pdf": pdf("some text", "more"), "docx": (tmp_path / "a.docx").read_bytes(), "html": HTML.encode()}[kind]
    rng, path, read = random.Random(0), tmp_path / f"x.{kind}", READERS[f".{kind}"]
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.randint(1, len(data))] if rng.random() < 0.3 else data)
        with contextlib.suppress(UnreadableError):  # anything else fails the test
            read(path)


def test_external_entities_of_a_docx_are_not_read(tmp_path):
    (tmp_path / "secret").write_text("SECRET")
    word(tmp_path / "a.docx")
    with zipfile.ZipFile(tmp_path / "a.docx") as source, zipfile.ZipFile(tmp_path / "b.docx", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "word/document.xml":
                entity = f'<!DOCTYPE w [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'.encode()
                head, rest = data.split(b"?>", 1)
                data = head + b"?>" + entity + rest.replace(b"Lock them.", b"Lock &x; them.")
            target.writestr(name, data)
    try:
        texts = [block.text for block in read_docx(tmp_path / "b.docx").blocks]
    except UnreadableError:
        texts = []
    assert not any("SECRET" in text for text in texts)


def test_limits(tmp_path, monkeypatch):
    (tmp_path / "a.html").write_text(HTML)
    (tmp_path / "a.pdf").write_bytes(pdf("one two", "three"))
    monkeypatch.setattr(html_files, "MOST_BYTES", 10)
    with pytest.raises(UnreadableError, match="larger than"):
        read_html(tmp_path / "a.html")
    monkeypatch.setattr(content, "MOST_CHARACTERS", 9)
    with pytest.raises(UnreadableError, match="more than 9 characters"):
        content.document("a", "", read_pdf(tmp_path / "a.pdf").blocks)
    monkeypatch.setattr(docx_files, "MOST_FILES", 3)
    with pytest.raises(UnreadableError, match="too large once decompressed"):
        read_docx(word(tmp_path / "a.docx"))


@pytest.mark.parametrize(("suffix", "what"), [(".pdf", "PDF"), (".docx", "DOCX"), (".html", "HTML")])
def test_a_missing_package_is_one_line(suffix, what, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, PACKAGES[suffix], None)
    (tmp_path / f"a{suffix}").write_text("x")
    assert cli.run(["chunk", str(tmp_path / f"a{suffix}")]) == 1
    assert capfd.readouterr().err == (
        f"fidtools: reading {what} needs an optional package\n"
        "  bin/setup documents (in the repository), or: pip install 'fidtools[documents]'\n"
    )


def test_without_the_packages_a_folder_gives_its_text_files(tmp_path, monkeypatch, capfd):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(pdf("one"))
    monkeypatch.setattr("fidtools.documents.reading.find_spec", lambda name: None)
    assert cli.run(["chunk", str(folder)]) == 1
    assert "reading 1 .pdf of" in capfd.readouterr().err
    (folder / "b.txt").write_text("two")
    assert cli.run(["chunk", str(folder)]) == 0
    assert "left out: reading 1 .pdf of" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["notes", "notes.text", "mail.eml"])
def test_a_text_of_another_suffix_is_told_how_texts_are_named(name, tmp_path, capsys):
    (tmp_path / name).write_text("Dear all\nthe meeting is on Monday\n")
    assert cli.run(["chunk", str(tmp_path / name)]) == 1
    problem, hint = capsys.readouterr().err.splitlines()
    assert problem.startswith(f"fidtools: {tmp_path / name}:1: malformed JSON: ")
    assert hint == "  a text? fidtools chunk makes passages of files whose name ends in .txt, .md, .markdown, .rst"


def test_what_office_keeps_beside_an_open_file_is_hidden(tmp_path, capsys):
    folder = tmp_path / "documents"
    folder.mkdir()
    word(folder / "a.docx")
    (folder / "~$a.docx").write_bytes(b"\x05owner")
    assert cli.run(["chunk", str(folder), "-o", str(tmp_path / "p.jsonl")]) == 0
    told = capsys.readouterr().err
    assert f"{folder}: files left out: 1 hidden" in told
    assert "damaged" not in told
