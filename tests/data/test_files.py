"""JSON lines in and out: what is read, what is refused in which words; outputs appear whole or not at all."""

from __future__ import annotations

import gzip
import os

import pytest

from fidtools.data.files import atomic_folder, open_output
from fidtools.data.jsonl import read_json, write_lines
from fidtools.errors import DataError


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
        (b'{"a": NaN}', r"a.jsonl:1: malformed JSON"),
        (b'{"a": "\xff"}', r"a.jsonl:1: malformed JSON"),
    ],
)
def test_malformed_input_says_where(tmp_path, content, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        numbered(path)


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
