"""Processes that write the same thing at the same time: each succeeds, and nobody sees a mixture."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fidtools.data.corpus import open_passages
from fidtools.data.files import atomic_folder, open_output
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_questions

START = """
import os, sys, time
def meet(name):  # return when both processes have come here
    open(f"{name}.{os.getpid()}", "w").close()
    while sum(entry.startswith(name) for entry in os.listdir(".")) < 2:
        time.sleep(0.01)
"""


def start(code: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", START + code],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def both(code: str, folder: Path) -> list[str]:
    """What two processes of the same program print; both must end well."""
    processes = [start(code, folder) for _ in range(2)]
    printed = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        printed.append(out.decode())
    return printed


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "p.jsonl"
    write_lines(path, ({"id": f"p{i}", "title": "", "text": f"word{i % 97} red"} for i in range(2000)))
    return path


def test_two_processes_open_one_new_corpus(corpus: Path, tmp_path: Path) -> None:
    code = """
from fidtools.data.corpus import open_passages
meet("open")
passages = open_passages("p.jsonl")
print(len(passages), passages.row_of("p1999"), passages.ids_sha256)
"""
    first, second = both(code, tmp_path)
    assert first == second == f"2000 1999 {open_passages(corpus).ids_sha256}\n"
    assert left_over(tmp_path) == []


def test_the_second_process_takes_what_the_first_has_built(corpus: Path, tmp_path: Path) -> None:
    """Both see that there is nothing yet; the lock lets one build, and the other finds it done."""
    code = """
from fidtools.data import corpus
plain = corpus._build
def build(*arguments):
    print("built")
    plain(*arguments)
corpus._build = build
valid = corpus.RowFiles.is_valid
asked = []
def is_valid(self, source):
    found = valid(self, source)
    asked.append(1)
    if len(asked) == 2: meet("missing")
    return found
corpus.RowFiles.is_valid = is_valid
corpus.open_passages("p.jsonl")
"""
    assert sorted(both(code, tmp_path)) == ["", "built\n"]


def test_two_rankings_with_one_new_index(corpus: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "q.jsonl", [{"id": "q", "question": "red word5"}])
    code = """
from fidtools.cli import main
meet("bm25")
main(["bm25", "q.jsonl", "-p", "p.jsonl", "-k", "30", "-q"])
"""
    first, second = both(code, tmp_path)
    assert first == second
    (tmp_path / "out.jsonl").write_text(first)
    (question,) = read_questions(tmp_path / "out.jsonl")
    assert [p.id for p in question.ctxs or []][:3] == ["p5", "p102", "p199"]
    assert left_over(tmp_path) == []


def test_two_processes_with_one_output_do_not_mix(tmp_path: Path) -> None:
    code = """
from fidtools.data.files import open_output
with open_output("out.jsonl") as out:
    meet("open")
    for i in range(20000):
        out.line([os.getpid(), i])
print(os.getpid())
"""
    processes = [int(printed) for printed in both(code, tmp_path)]
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    writer = int(lines[0][1:].split(",")[0])
    assert writer in processes
    assert lines == [f"[{writer},{i}]" for i in range(20000)]
    assert left_over(tmp_path) == []


WRITING = {
    "file": """
with open_output("out") as out:
    out.line("alive")
    wait()
""",
    "folder": """
with atomic_folder("out") as folder:
    (folder / "a").write_text("alive")
    wait()
""",
}


def write_file(path: Path) -> None:
    with open_output(path) as out:
        out.line("later")


def write_folder(path: Path) -> None:
    with atomic_folder(path) as folder:
        (folder / "b").write_text("later")


@pytest.mark.parametrize(("kind", "write"), [("file", write_file), ("folder", write_folder)])
def test_only_what_dead_processes_left_is_cleared(tmp_path: Path, kind: str, write: Callable[[Path], None]) -> None:
    code = f"""
from fidtools.data.files import atomic_folder, open_output
def wait():
    print("writing", flush=True)
    sys.stdin.read()
{WRITING[kind]}
"""
    alive, dead = start(code, tmp_path), start(code, tmp_path)
    for process in (alive, dead):
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
    assert len(left_over(tmp_path)) == 2
    os.kill(dead.pid, signal.SIGKILL)
    dead.communicate()
    write(tmp_path / "out")
    assert len(left_over(tmp_path)) == 1
    _, err = alive.communicate(b"", timeout=60)
    assert alive.returncode == 0, err.decode()
    assert left_over(tmp_path) == []
    written = [path for path in tmp_path.rglob("*") if path.is_file()]  # the last to end wins
    assert [path.read_text().strip('"\n') for path in written] == ["alive"]
