"""JSON lines in and out: what is read, what is refused in which words; outputs appear whole or not at all."""

from __future__ import annotations

import gzip
import io
import itertools
import os

import orjson
import pytest

from fidtools.data.files import atomic_folder, open_output
from fidtools.data.json_structure import list_elements
from fidtools.data.jsonl import read_json, write_lines
from fidtools.data.read import read_passages
from fidtools.encoders.word_vectors import read_word_vectors
from fidtools.errors import DataError
from fidtools.formats.dpr import read_dpr_qa
from fidtools.formats.plain_text import read_query_table, read_text_file


def numbered(path):
    return list(read_json(path))


def test_lines_keep_their_numbers(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\n\n{"a": 1}\n\n{"a": "\xc3\xa9"}')
    assert numbered(path) == [(3, {"a": 1}), (5, {"a": "é"})]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"  \r\n "])
def test_one_big_list_is_read_too(tmp_path, start):
    path = tmp_path / "a.json"
    path.write_bytes(start + b'[\n    {"a": 1.5},\n    {"a": [2]}\n]\n')
    assert numbered(path) == [(1, {"a": 1.5}), (2, {"a": [2]})]


def test_gzip_is_read_and_written_by_suffix_and_is_deterministic(tmp_path):
    one, two = tmp_path / "1.jsonl.gz", tmp_path / "2.jsonl.gz"
    write_lines(one, [{"a": 1}])
    write_lines(two, [{"a": 1}])
    assert one.read_bytes() == two.read_bytes()
    assert gzip.decompress(one.read_bytes()) == b'{"a":1}\n'
    assert numbered(one) == [(1, {"a": 1})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \n', r"a.jsonl:2: malformed JSON: .* \(got \{\"a\":\)"),
        (b"[1]", r"a.jsonl:1: expected a JSON object \(got 1\)"),
        (b'{"a": 1}\n7\n', r"a.jsonl:2: expected a JSON object \(got 7\)"),
        (b'[{"a": 1}, {"a"', r"a.jsonl: malformed JSON list after element 1"),
        (b'{"a": NaN}', r"a.jsonl:1: malformed JSON: unexpected character, expected a JSON value at character 6 "),
        (b'{"a": "\xff"}', r"a.jsonl:1: malformed JSON"),
        (b'{"a": 1}\n{"a": 18446744073709551616}', r"a.jsonl:2: malformed JSON: the integer 18446744073709551616 has"),
        (
            b'{"a": [-9223372036854775809]}',
            r"a.jsonl:1: malformed JSON: the integer -9223372036854775809",
        ),
        (b'[{"a": 1}, {"a": 1' + b"0" * 5000 + b"}]", r"a.jsonl:2: malformed JSON"),
        (b'{"a": 1}\n{"a": 1, "b": 2, "a": 3}', r"a.jsonl:2: malformed JSON: an object has two values of the name 'a'"),
        (
            b'{"a" : {"b": [{"c":1,"\\u0063":1}]}}',
            r"a.jsonl:1: malformed JSON: an object has two values of the name 'c'",
        ),
        (b'[{"a": 1}, {"d" :1, "d"\n: 1}]', r"a.jsonl:2: malformed JSON: an object has two values of the name 'd'"),
        (b'{"a": 1e999}', r"a.jsonl:1: malformed JSON: number is infinity"),
        (b'[{"a": "\\ud800"}]', r"a.jsonl:1: malformed JSON: no low surrogate"),
        (
            b'{"a": 1}\n{"a": ' + b"[" * 300 + b"]" * 300 + b"}",
            r"a.jsonl:2: malformed JSON: nested more than 250 levels",
        ),
        (b'[{"a": ' + b"[" * 300 + b"]" * 300 + b"}]", r"a.jsonl: .* after element 0: nested more than 250 levels"),
        (b'{"a": ' + b"[" * 20000 + b"]" * 20000 + b"}", r"a.jsonl:1: malformed JSON: depth limit exceeded"),
        (b'[{"a": 1},]', r"a.jsonl: malformed JSON list after element 1: a value is missing"),
        (b'[{"a": 1}] {}', r"a.jsonl: malformed JSON list after element 1: the list is followed by more"),
    ],
)
def test_malformed_input_says_where(tmp_path, content, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        numbered(path)


def test_one_name_in_several_objects_and_in_texts_is_no_repetition(tmp_path):
    value = {"a": 1, "b": [{"a": 1}, {"a": {"a": 'she said "a": no'}}], "c": '"c" : "c":'}
    (tmp_path / "a.jsonl").write_bytes(orjson.dumps(value))
    assert numbered(tmp_path / "a.jsonl") == [(1, value)]


LINES = b"".join(b'{"id": %d, "text": "%s"}\n' % (number, b"x" * 1000) for number in range(1000))


@pytest.mark.parametrize("name", ["lines.jsonl", "lines.jsonl.gz"])
@pytest.mark.parametrize("new", [LINES.replace(b"xx", b"yy"), LINES + LINES, LINES[: len(LINES) // 2], b""])
def test_a_file_that_is_written_to_while_it_is_read_is_an_error(name, new, tmp_path):
    path, pack = tmp_path / name, (lambda data: gzip.compress(data, 0)) if name.endswith(".gz") else bytes
    path.write_bytes(pack(LINES))
    records = read_json(path)
    assert next(records)[1]["id"] == 0
    path.write_bytes(pack(new))
    with pytest.raises(DataError, match=r"lines\.jsonl(\.gz)?: was changed while it was being read") as raised:
        list(records)
    assert raised.value.hint == "run the command again"


@pytest.mark.parametrize("name", ["lines.jsonl", "lines.jsonl.gz"])
def test_a_file_that_gets_another_time_while_it_is_read_is_read_to_its_end(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(gzip.compress(LINES, 0) if name.endswith(".gz") else LINES)
    records = read_json(path)
    found = []
    for number in (100, 400, 500):
        found += [record["id"] for _, record in itertools.islice(records, number)]
        os.utime(path, (number, number))
    assert found == list(range(1000))
    assert list(records) == []


def test_a_change_of_what_was_read_is_seen_behind_another_time(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(LINES)
    records = read_json(path)
    found = [record["id"] for _, record in itertools.islice(records, 200)]
    os.utime(path, (1, 1))
    found += [record["id"] for _, record in itertools.islice(records, 300)]
    assert found == list(range(500))
    path.write_bytes(LINES.replace(b'"id": 7,', b'"id": 8,'))
    with pytest.raises(DataError, match="was changed while it was being read"):
        list(records)


def test_a_file_that_is_replaced_or_has_been_read_whole_may_change(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(LINES)
    records = read_json(path)
    next(records)
    (tmp_path / "new").write_bytes(b"{}\n")
    (tmp_path / "new").replace(path)
    assert [record["id"] for _, record in records] == list(range(1, 1000))
    small = tmp_path / "small.jsonl"
    small.write_bytes(b'{"id": 0}\n{"id": 1}\n')
    records = read_json(small)
    next(records)
    small.write_bytes(b'{"id": 7}\n{"id": 8}\n')  # all of it is in memory by now
    assert [record["id"] for _, record in records] == [1]


@pytest.mark.parametrize("cut", [5, 15, 25])
def test_a_truncated_gzip_file_is_an_error(tmp_path, cut):
    path = tmp_path / "a.jsonl.gz"
    whole = gzip.compress(b'{"a": 1}\n')
    path.write_bytes(whole[:cut])
    with pytest.raises(DataError, match="a.jsonl.gz:? ?.*truncated or corrupt gzip file"):
        numbered(path)


def test_a_failed_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(RuntimeError), open_output(path) as out:
        out.line({"a": 1})
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "model") as folder:
        (folder / "a").write_text("new")
        raise RuntimeError
    assert (tmp_path / "model" / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


def test_a_folder_is_replaced_whole(tmp_path):
    for name in ("a", "b"):
        with atomic_folder(tmp_path / "model") as folder:
            (folder / name).write_text("")
    assert os.listdir(tmp_path / "model") == ["b"]


def test_special_files_are_written_to_and_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with open_output(pipe) as out:
        out.line({"a": 1})
    assert os.read(reading, 100) == b'{"a":1}\n'
    os.close(reading)
    assert pipe.is_fifo()


def test_numbers_of_64_bits_and_digits_in_strings_are_kept(tmp_path):
    values = {"a": 18446744073709551615, "b": -9223372036854775808, "c": "1" * 5000, "d": 1.2345678901234567890123}
    for text in (orjson.dumps(values), b"[" + orjson.dumps(values) + b"]"):
        (tmp_path / "a.json").write_bytes(text)
        assert numbered(tmp_path / "a.json") == [(1, values)]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_a_list_is_cut_into_its_elements_wherever_a_chunk_ends(chunk, monkeypatch):
    monkeypatch.setattr("fidtools.data.json_structure.CHUNK", chunk)
    values = [{'a"b': ["x,y]", "\\", {"{": '[[\\"'}]}, [], "", "é\\", {}, [[[1]], 2.5], None]
    text = orjson.dumps(values, option=orjson.OPT_INDENT_2) + b"\n "
    assert [orjson.loads(element) for element in list_elements(io.BytesIO(text))] == values


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("p.tsv.gz", read_passages),
        ("q.csv.gz", read_dpr_qa),
        ("t.txt.gz", read_text_file),
        ("glove.txt.gz", lambda path: read_word_vectors(path, ["a"], 9)),
        ("q.tsv.gz", read_query_table),
    ],
)
def test_no_reader_takes_a_line_without_end(name, read, tmp_path, monkeypatch):
    monkeypatch.setattr("fidtools.data.jsonl.MAX_RECORD_BYTES", 1 << 20)
    with gzip.open(tmp_path / name, "wb") as out:
        out.write(b"x" * (4 << 20))
    with pytest.raises(DataError, match=rf"{name}(:1)?: (a line of )?more than 1 MiB"):
        list(read(tmp_path / name))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("fidtools.data.jsonl.MAX_RECORD_BYTES", 1 << 20)
    with gzip.open(tmp_path / "bomb.jsonl.gz", "wb") as out:
        out.write(b'{"a": 1}\n{"a": "' + b" " * (4 << 20))
    with pytest.raises(DataError, match=r"bomb.jsonl.gz:2: a line of more than 1 MiB"):
        numbered(tmp_path / "bomb.jsonl.gz")
