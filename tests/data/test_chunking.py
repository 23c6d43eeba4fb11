"""Documents into passages: every word once, ids that say where from, and the passages of the shared real corpora."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidtools import cli
from fidtools.data.chunking import chunk
from fidtools.data.read import read_passages
from fidtools.data.records import Passage
from fidtools.documents.reading import read_documents
from fidtools.errors import DataError, UsageError

DOCUMENT = Passage(id="d", title="T", text=" one two\nthree\tfour  five ", extra={"url": "u"})


def texts(words: int, stride: int | None = None) -> list[str]:
    return [passage.text for passage in chunk([DOCUMENT], words, stride)]


def test_passages_carry_their_document() -> None:
    assert list(chunk([DOCUMENT], 2)) == [
        Passage(id=f"d-{i}", title="T", text=text, doc_id="d", extra={"url": "u"})
        for i, text in enumerate(["one two", "three four", "five"])
    ]


def test_a_document_within_a_larger_one_keeps_its_doc_id() -> None:
    chapter = Passage(id="d.2", text="a b", doc_id="book")
    assert [(p.id, p.doc_id) for p in chunk([chapter], 1)] == [("d.2-0", "book"), ("d.2-1", "book")]


def test_strides() -> None:
    assert texts(3, 1) == ["one two three", "two three four", "three four five"]
    assert texts(3, 2) == ["one two three", "three four five"]
    assert texts(4, 2) == ["one two three four", "three four five"]
    assert texts(5) == texts(9) == ["one two three four five"]
    with pytest.raises(UsageError, match="words in between would be lost"):
        texts(3, 4)


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 8), st.integers(1, 8))
def test_every_word_is_in_a_passage_and_no_passage_is_inside_another(text: list[str], words: int, stride: int) -> None:
    stride = min(stride, words)
    found = [p.text.split() for p in chunk([Passage(id="d", text=" ".join(text))], words, stride)]
    assert found == [
        text[i : i + words] for i in range(0, len(text), stride) if i == 0 or i + words - stride < len(text)
    ]


def test_two_documents_of_one_id_are_refused() -> None:
    with pytest.raises(DataError, match=r"field 'id': document 2 has the id of an earlier one \(got d\)"):
        list(chunk([DOCUMENT, DOCUMENT]))


def test_spacy_counts_punctuation_and_keeps_the_text() -> None:
    pytest.importorskip("spacy")
    found = [p.text for p in chunk([Passage(id="d", text="U.S. Open, don't\nstop!")], 3, by="spacy")]
    assert found == ["U.S. Open,", "don't stop", "!"]


def test_text_files_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "my_note.txt").write_text("plain # no heading")
    (tmp_path / "a.md").write_text("\n# The title #\nbody\n# Other\n")
    (tmp_path / "c.md").write_text("body\n# Late\n")
    (tmp_path / "ignored.pdf").write_text("x")
    assert [(d.id, d.title, d.text.split()) for d in read_documents([tmp_path])] == [
        ("a", "The title", ["body", "#", "Other"]),
        ("b/my_note", "my note", ["plain", "#", "no", "heading"]),
        ("c", "c", ["body", "#", "Late"]),
    ]


def test_files_that_hold_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"the folder contains no \.txt, \.md, \.markdown, \.rst, \.html, \.htm, \.xhtml, \.pdf or \.docx files",
    ):
        list(read_documents([tmp_path]))
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"x\.txt: not UTF-8") as refused:
        list(read_documents([tmp_path / "x.txt"]))
    assert "iconv -f CP1252 -t UTF-8" in str(refused.value.hint)


def test_utf_16_without_a_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("hello there".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"a\.txt: not UTF-8 but UTF-16") as refused:
        list(read_documents([tmp_path / "a.txt"]))
    assert "-f UTF-16" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("markdown", "title", "text"),
    [
        ("# Programming in C#\n\nText", "Programming in C#", "Text"),
        ("# Title #  \nText", "Title", "Text"),
        ("\n#\tTitle ##\nText", "Title", "Text"),
        ("#\n\nText\n", "a", "# Text"),
        ("Title of it\n===\nText", "Title of it", "Text"),
        ("Text\nText\n===", "a", "Text Text ==="),
        ('---\ntags: [x]\ntitle: "Mills: a history"\n---\n\nText', "Mills: a history", "Text"),
        ("+++\ntitle = 'Mills'\n+++\nText", "Mills", "Text"),
        ("---\ntitle: Mills\n---\n# Water mills\nText", "Water mills", "Text"),
        ("---\ndate: 2020\n---\nText", "a", "Text"),
        ("---\nText: more\n\nText", "a", "--- Text: more Text"),
        ("---\nText\n---\nText", "a", "--- Text --- Text"),
    ],
)
def test_the_title_of_markdown(markdown: str, title: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(markdown)
    (document,) = read_documents([tmp_path / "a.md"])
    assert (document.title, " ".join(document.text.split())) == (title, text)


def test_one_text_file_of_another_encoding_does_not_stop_a_folder(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.txt").write_text("Schließdienst", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes("Schließdienst".encode("latin-1"))
    assert cli.run(["chunk", str(tmp_path), "-o", str(tmp_path / "p.jsonl")]) == 0
    assert [(p.id, p.text) for p in read_passages(tmp_path / "p.jsonl")] == [("a-0", "Schließdienst")]
    said = " ".join(capsys.readouterr().err.split())
    assert "b.txt: not read: not UTF-8: " in said
    assert "iconv -f CP1252" in said
    assert "1 of 2 documents could not be read" in said


def test_real_stories_put_together_and_cut_again_give_the_published_passages(shared: Callable[[str], Path]) -> None:
    passages = list(read_passages(shared("data/narrativeqa-summaries/passages.jsonl.gz")))
    stories = [
        (doc_id, [p.text for p in group]) for doc_id, group in groupby(passages, key=lambda passage: passage.doc_id)
    ]
    documents = (Passage(id=str(doc_id), text="\n".join(parts)) for doc_id, parts in stories)
    assert [p.text for p in chunk(documents)] == [p.text for p in passages]


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text("".join(f'{{"id": {i}, "text": "w{i} v{i}"}}\n' for i in range(2)))
    assert cli.run(["chunk", "-q", "--words", "1", str(tmp_path / "d.jsonl"), "-o", str(tmp_path / "p.jsonl")]) == 0
    assert [p.id for p in read_passages(tmp_path / "p.jsonl")] == ["0-0", "0-1", "1-0", "1-1"]


def test_passages_flow_before_the_last_document_is_there() -> None:
    command = [sys.executable, "-c", "from fidtools.cli import main; main()", "chunk", "-q"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write('{"id": "a", "text": "x"}\n{"id": "b", "text": "y"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == "a-0"
        process.stdin.close()
        assert json.loads(process.stdout.read())["id"] == "b-0"


def files(folder: Path, **contents: str) -> Path:
    for name, text in contents.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_folder_is_read_without_what_is_hidden_and_says_what_it_left_out(tmp_path: Path, capfd) -> None:
    docs = files(
        tmp_path / "docs", a_txt="kept", B_TXT="upper", c_markdown="# Title\nmarkdown", d_rst="rest", e_odt="PK"
    )
    files(docs, _git__x_txt="git", _ipynb__y_txt="")
    (docs / "._a.txt").write_text("a fork")
    (docs / "empty.md").write_text("\n")
    assert cli.run(["chunk", str(docs), "-o", str(tmp_path / "p.jsonl")]) == 0
    found = [(p.id, p.title, p.text) for p in read_passages(tmp_path / "p.jsonl")]
    assert found == [("B-0", "B", "upper"), ("a-0", "a", "kept"), ("c-0", "Title", "markdown"), ("d-0", "d", "rest")]
    told = " ".join(capfd.readouterr().err.split())
    assert "files left out: 3 hidden, 1 .odt" in told
    assert "1 of 5 documents contain no word: empty" in told


def test_links_of_a_folder_are_read_or_said_to_be_left_out(tmp_path: Path, caplog) -> None:
    docs, other = files(tmp_path / "docs", a_txt="kept"), files(tmp_path / "other", b_txt="linked")
    for name, target in {"b.txt": other / "b.txt", "folder": other, "lost.txt": other / "c.txt", ".x": other}.items():
        (docs / name).symlink_to(target)
    assert [document.text for document in read_documents([docs])] == ["kept", "linked"]
    assert "files left out: 1 hidden, 1 as a link to a folder, 1 as a link to nothing" in caplog.text


def test_pipes_of_a_folder_are_not_opened_and_said_to_be_left_out(tmp_path: Path, caplog) -> None:
    docs = files(tmp_path / "docs", a_txt="kept")
    os.mkfifo(docs / "b.txt")
    (docs / "c.txt").symlink_to(docs / "b.txt")
    assert [document.text for document in read_documents([docs])] == ["kept"]
    assert caplog.messages == [f"{docs}: files left out: 2 as a pipe, a socket or a device"]


def test_a_folder_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch, caplog) -> None:
    docs, scan = files(tmp_path / "docs", a_txt="kept", closed__b_txt="lost"), os.scandir

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [document.text for document in read_documents([docs])] == ["kept"]
    assert f"{docs}/closed: not read: Permission denied" in caplog.text


def test_a_file_that_cannot_be_read_does_not_undo_json_lines(tmp_path: Path, capfd) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "kept"}\n')
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4 damaged")
    paths = [str(tmp_path / name) for name in ("a.jsonl", "b.pdf")]
    assert cli.run(["chunk", *paths, "-o", str(tmp_path / "p.jsonl")]) == 0
    assert [passage.text for passage in read_passages(tmp_path / "p.jsonl")] == ["kept"]
    assert "1 of 1 documents could not be read" in " ".join(capfd.readouterr().err.split())


def test_two_documents_never_have_one_id(tmp_path: Path) -> None:
    one = files(tmp_path / "one", a_txt="1", a_md="2", b_txt="3", a_txt_rst="4")
    assert [(d.id, d.text) for d in read_documents([one])] == [
        ("a.md", "2"), ("a.txt", "1"), ("a.txt.rst", "4"), ("b", "3"),
    ]  # fmt: skip
    two = files(tmp_path / "two", b_md="5")
    with pytest.raises(DataError, match=r"two/b\.md: field 'id': has the id of .*one/b\.txt \(got b\)"):
        list(read_documents([one, two]))


def test_a_file_name_that_is_not_utf_8_becomes_an_id_that_is(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).write_text("text")
    assert [(d.id, d.title) for d in read_documents([tmp_path])] == [("caf\\xe9", "caf\\xe9")]


def test_text_without_spaces_is_cut_by_characters(tmp_path: Path) -> None:
    chinese = Passage(id="d", text="北京是中华人民共和国的首都。" * 20)  # 13 characters and a full stop
    passages = list(chunk([chinese], 100))
    assert [len(p.text) for p in passages] == [107, 108, 65]
    assert "".join(p.text for p in passages) == chinese.text
    foreign = Passage(id="e", text="an English text about the city of 北京市 and others")
    assert [p.text for p in chunk([foreign], 8)] == ["an English text about the city of 北京市", "and others"]


def test_tibetan_is_cut_by_syllables() -> None:
    tibetan = Passage(id="d", text="ལྷ་ས་ནི་བོད་ཀྱི་རྒྱལ་ས་ཡིན།" * 2)  # 8 syllables, the eighth up to the next tsheg
    passages = [p.text for p in chunk([tibetan], 5)]
    assert passages == ["ལྷ་ས་ནི་བོད་ཀྱི་", "རྒྱལ་ས་ཡིན།ལྷ་ས་ནི་", "བོད་ཀྱི་རྒྱལ་ས་ཡིན།"]
