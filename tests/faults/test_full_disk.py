"""A disk that fills up at any point of a command: one message, nothing incomplete; with room again the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fidtools import cli
from tests.faults.killing import UNFINISHED, contents, difference
from tests.faults.test_outputs import LIMITED, SHORT, run_without_room, users_folder
from tests.toy_models import RETRIEVER

SIZE = 64 << 20
ROOM = (0, 4 << 10, 20 << 10, 200 << 10, 3 << 20)
"""Bytes that are left for a command: for nothing, for some side files, for a part of the output."""
AGAIN = {name: [*command, "--resume"] for name, command in LIMITED.items() if "train-" in name or name == "embed"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system")
    try:
        yield place
    finally:
        os.chdir(tmp_path)
        subprocess.run(["umount", str(place)], check=True)


def leave(disk: Path, room: int) -> None:
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with open(disk / "filler", "wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, free - room)


@pytest.mark.slow
@pytest.mark.parametrize("command", LIMITED)
def test_a_full_disk_loses_nothing(command: str, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = users_folder(tmp_path / "data")
    monkeypatch.chdir(data)
    if command == "retrieve":
        assert cli.run(["embed", "p.jsonl", "--retriever", RETRIEVER, "-o", "v.npy", "-q"]) == 0
    if command == "score-cross":
        teacher = ["train-teacher", "q.jsonl", "--coattention", "--hidden", "4", "--word-dim", "4", *SHORT]
        assert cli.run([*teacher, "-o", "teacher"]) == 0
    arguments = AGAIN.get(command, LIMITED[command])
    expected: dict[str, bytes] = {}
    codes = []
    for room in (None, *ROOM):
        work = disk / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(data, work)
        monkeypatch.chdir(work)
        before = contents(work)
        if room is not None:
            leave(disk, room)
        code, said = run_without_room(arguments, -1)
        if room is None:
            assert code == 0, said
            expected = contents(work)
            continue
        codes.append(code)
        (disk / "filler").unlink()
        new = {name for name, content in contents(work).items() if before.get(name) != content}
        whole = {name for name in new if not UNFINISHED.fullmatch(name) and "-tantivy" not in name}
        assert {name: contents(work)[name] for name in whole} == {name: expected[name] for name in whole}, (room, said)
        if code:
            assert (code, "no space left" in said.lower() or "are free" in said) == (1, True), (room, said)
            assert "Traceback" not in said
        code, said = run_without_room(arguments, -1)
        assert (code, difference(expected, contents(work))) == (0, ""), (room, said)
    assert 1 in codes
    print(command, codes)
