"""A corpus read by row, id and document, from every form it comes in."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fidtools.data.corpus import open_passages
from fidtools.data.corpus_scan import scan_corpus
from fidtools.data.read import read_passages
from fidtools.errors import DataError

PASSAGES = [
    {"id": "a", "title": "Ada", "text": 'said "no"\tand left\nthe room', "doc_id": "d2"},
    {"id": "b", "title": "", "text": "ünïcode ☃", "doc_id": "d1"},
    {"id": "c", "title": "Ada", "text": "again", "doc_id": "d2"},
]


def as_lines(path: Path) -> Path:
    path.write_text("\ufeff\n" + "\n\n".join(json.dumps(p, ensure_ascii=False) for p in PASSAGES))
    return path


def as_list(path: Path) -> Path:
    path.write_text(json.dumps(PASSAGES, indent=1))
    return path


def as_gzip(path: Path) -> Path:
    path = path.with_name(path.name + ".gz")
    path.write_bytes(gzip.compress("\n".join(json.dumps(p) for p in PASSAGES).encode()))
    return path


def as_table(path: Path) -> Path:
    path = path.with_suffix(".tsv")
    rows = ["id\ttext\ttitle"]
    rows += ['{id}\t"{0}"\t{title}'.format(p["text"].replace('"', '""'), **p) for p in PASSAGES]
    path.write_bytes("\r\n".join(rows).encode())
    return path


FORMS = [as_lines, as_list, as_gzip, as_table]


@pytest.mark.parametrize("write", FORMS)
def test_every_form_is_read_from_the_middle(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    passages = open_passages(write(tmp_path / "p.jsonl"))
    assert len(passages) == 3
    assert [(p.id, p.title, p.text) for p in (passages[2], passages[0], passages[-2])] == [
        (p["id"], p["title"], p["text"]) for p in (PASSAGES[2], PASSAGES[0], PASSAGES[1])
    ]
    assert [passages.row_of(i) for i in ("c", "a", "nobody")] == [2, 0, None]
    assert list(passages.ids()) == ["a", "b", "c"]


def test_the_same_corpus_has_the_same_hashes_in_every_form(tmp_path: Path) -> None:
    opened = [open_passages(write(tmp_path / "p.jsonl")) for write in (as_lines, as_gzip)]
    assert opened[0].text_sha256 == opened[1].text_sha256
    ids = "".join(f"{p['id']}\n" for p in PASSAGES)
    assert opened[0].ids_sha256 == opened[1].ids_sha256 == hashlib.sha256(ids.encode()).hexdigest()
    changed = tmp_path / "changed.jsonl"
    changed.write_text(as_lines(tmp_path / "p.jsonl").read_text().replace("again", "Again"))
    assert open_passages(changed).text_sha256 != opened[0].text_sha256


def test_rows_within_a_document(tmp_path: Path) -> None:
    passages = open_passages(as_lines(tmp_path / "p.jsonl"))
    assert passages.rows_within("d2").tolist() == [0, 2]
    assert passages.rows_within("d1").tolist() == [1]
    assert passages.rows_within("d3").tolist() == []
    with pytest.raises(DataError, match=r"p\.tsv: field 'doc_id': no passage has this field"):
        open_passages(as_table(tmp_path / "p.jsonl")).rows_within("d2")


def test_a_changed_file_is_looked_through_again(tmp_path: Path) -> None:
    path = as_list(tmp_path / "p.jsonl")
    assert len(open_passages(path)) == 3
    path.write_text(json.dumps(PASSAGES[1:]))
    assert [p.id for p in open_passages(path)] == ["b", "c"]


def test_a_file_that_is_edited_in_place_while_it_is_open_is_refused(tmp_path: Path) -> None:
    path = as_lines(tmp_path / "p.jsonl")
    corpus, before = open_passages(path), path.read_text()
    path.write_text(before)  # the same bytes again
    os.utime(path, ns=(1, 1))
    assert corpus[2].text == "again"
    path.write_text(before.replace("again", "AGAIN"))
    with pytest.raises(DataError, match=r"p\.jsonl: was changed while it was in use"):
        corpus[2]


def test_a_file_that_is_replaced_while_it_is_open_stays_as_it_was(tmp_path: Path) -> None:
    path = as_lines(tmp_path / "p.jsonl")
    corpus = open_passages(path)
    as_list(tmp_path / "new.jsonl").rename(path)
    assert corpus[2].text == "again"


@pytest.mark.parametrize("write", FORMS)
def test_a_file_that_is_touched_while_it_is_indexed_is_read_again(write, tmp_path: Path, monkeypatch) -> None:
    path = write(tmp_path / "p.jsonl")
    times = iter([1, 2, 3])

    def touched(*arguments):
        scan_corpus(*arguments)
        if (time := next(times, None)) is not None:
            os.utime(path, ns=(time, time))

    monkeypatch.setattr("fidtools.data.corpus.scan_corpus", touched)
    with pytest.raises(DataError, match="was changed while it was being read"):
        open_passages(path)
    assert not Path(f"{path}.rows").exists()
    assert [p.id for p in open_passages(path)] == ["a", "b", "c"]
    assert next(times, None) is None
    monkeypatch.setattr("fidtools.data.corpus.scan_corpus", None)  # the index is of the file as it is
    assert [p.id for p in open_passages(path)] == ["a", "b", "c"]


def test_an_unchanged_file_is_looked_through_once(tmp_path: Path) -> None:
    path = as_lines(tmp_path / "p.jsonl")
    open_passages(path)
    before = (tmp_path / "p.jsonl.rows").stat().st_mtime_ns
    open_passages(path)
    assert (tmp_path / "p.jsonl.rows").stat().st_mtime_ns == before


LINE = '{"id": "%s", "text": "t"}\n'
BAD = {
    "duplicate": (
        LINE % "a" + "\n" + LINE % "b" + LINE % "a",
        r"p\.jsonl:4: field 'id': also the id of line 1 \(got a\)",
    ),
    "malformed": (LINE % "a" * 1 + "{\n", r"p\.jsonl:2: malformed JSON"),
    "no id": ('{"text": "t"}\n', r"p\.jsonl:1: field 'id': missing"),
    "line break": ("\n" + LINE % "a" + "\n" + LINE % "a\\nb", r"p\.jsonl:4: field 'id': must not contain a line break"),
    "empty": ("", r"p\.jsonl: no passages: the file is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_passages_are_named(tmp_path: Path, name: str) -> None:
    text, message = BAD[name]
    (tmp_path / "p.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        open_passages(tmp_path / "p.jsonl")
    assert [p.name for p in tmp_path.iterdir()] == ["p.jsonl"]


def test_a_repeated_id_in_a_table_is_named_with_its_lines(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text('id\ttext\ttitle\n1\t"two\nlines"\tT\n2\tx\tT\n1\ty\tT\n')
    with pytest.raises(DataError, match=r"p\.tsv:5: field 'id': also the id of line 2"):
        open_passages(tmp_path / "p.tsv")


def test_real_passages_come_out_as_the_stream_gives_them(shared: Callable[[str], Path], tmp_path: Path) -> None:
    source = shared("data/squad-open/small/passages.jsonl.gz")
    copy = tmp_path / source.name
    copy.write_bytes(source.read_bytes())
    passages, expected = open_passages(copy), list(read_passages(source))
    assert list(passages) == expected
    assert all(passages.row_of(str(p.id)) == row for row, p in enumerate(expected))
