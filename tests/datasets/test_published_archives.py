from __future__ import annotations

import io
import random
import tarfile
import zipfile

import pytest

from fidtools.errors import DataError
from fidtools.formats.archives import member, members


@pytest.fixture
def tar(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as out:
        for name in ("../../outside.json", "/etc/absolute.json", "folder/inside.json"):
            info = tarfile.TarInfo(name)
            info.size = len(name)
            out.addfile(info, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("link.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        out.addfile(link)
    return path


def test_hostile_names_are_read_and_never_written(tar, tmp_path):
    found = {name: stream.read().decode() for name, stream in members(tar, "*.json")}
    assert found == {name: name for name in ("../../outside.json", "/etc/absolute.json", "folder/inside.json")}
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_zip_members_come_by_name_without_what_a_mac_adds(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as out:
        for name in ("wiki/wiki-002.jsonl", "wiki/wiki-001.jsonl", "__MACOSX/wiki/._wiki-001.jsonl", "wiki/readme.txt"):
            out.writestr(name, name)
    assert [name for name, _ in members(path, "wiki-*.jsonl")] == ["wiki/wiki-001.jsonl", "wiki/wiki-002.jsonl"]


def test_a_member_that_is_not_there(tar):
    with pytest.raises(DataError, match=r"a.tar.gz: contains no missing.json"), member(tar, "missing.json"):
        pass


@pytest.mark.parametrize("size", [0, 10, 100])
def test_a_cut_archive_is_an_error(tar, tmp_path, size):
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(tar.read_bytes()[:size])
    with (
        pytest.raises(DataError, match=r"cut.tar.gz: (truncated or corrupt archive|contains no )"),
        member(cut, "inside.json") as s,
    ):
        s.read()


def test_a_member_cut_while_it_is_read_is_an_error(tmp_path):
    whole, cut = tmp_path / "whole.tar.gz", tmp_path / "cut.tar.gz"
    with tarfile.open(whole, "w:gz") as out:
        info = tarfile.TarInfo("big.json")
        info.size = 1_000_000
        out.addfile(info, io.BytesIO(random.Random(0).randbytes(info.size)))
    cut.write_bytes(whole.read_bytes()[:500_000])
    with pytest.raises(DataError, match="cut.tar.gz: truncated or corrupt archive"):
        for _, stream in members(cut, "*.json"):
            stream.read()
