"""python killing.py FOLDER N … -- ARGUMENTS: run fidtools ARGUMENTS in copies of FOLDER, killed at its N-th event.

An event is what a process does to the files below the working folder: opening one to write, renaming, making and
removing. Each trial is a fork of this process, which has the libraries loaded: fork, kill, fork again without a kill.
Prints a line of JSON: how many events an undisturbed run has, and for each N what differs at the end.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sys
from pathlib import Path

import faiss  # noqa: F401
import tantivy  # noqa: F401
import torch
import transformers  # noqa: F401

import fidtools.cli
import fidtools.reader.train
import fidtools.retriever.train
import fidtools.teachers.train

EVENTS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink", "os.chmod"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
UNEQUAL = re.compile(r"(.*/)?(log\.jsonl|meta\.json|stages\.jsonl|.*\.bm25-tantivy/.*|.*\.index/meta\.json)")
"""Files that hold times, speeds or random names."""


def in_fork(work: Path, arguments: list[str], kill_at: int | None, report: Path | None = None) -> int:
    """The exit status of the command in a process of its own."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.chdir(work)
    with open("/dev/null", "rb") as nothing, open(work.parent / "err", "wb") as err:
        os.dup2(nothing.fileno(), 0)
        os.dup2(err.fileno(), 1)
        os.dup2(err.fileno(), 2)
    count = 0
    root = str(work)

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal count
        if event not in EVENTS and not (event == "open" and isinstance(args[2], int) and args[2] & WRITING):
            return
        if isinstance(args[0], int) or not os.path.abspath(os.fsdecode(args[0])).startswith(root):  # type: ignore[arg-type]
            return
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    code = fidtools.cli.run(arguments)
    if report is not None:
        report.write_text(str(count))
    os._exit(code)


def contents(folder: Path) -> dict[str, bytes]:
    """The files that must have the same bytes, and the names of all that must be there."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: b"" if UNEQUAL.fullmatch(name) else path.read_bytes() for name, path in files.items()}


def difference(expected: dict[str, bytes], found: dict[str, bytes]) -> str:
    names = [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
    stable = [name for name in names if "bm25-tantivy/index/" not in name]  # segments have random names
    return ", ".join(stable)


def main() -> None:
    torch.set_num_threads(1)
    folder, (numbers, arguments) = Path(sys.argv[1]), split(sys.argv[2:])
    home = folder.parent / "trials"
    work, report = home / "work", home / "count"
    shutil.copytree(folder, work)
    code = in_fork(work, arguments, None, report)
    if code:
        sys.exit(f"undisturbed: exit {code}: {(home / 'err').read_text()}")
    expected, events = contents(work), int(report.read_text())
    chosen = (
        list(range(1, events + 1))
        if numbers == ["all"]
        else sorted(random.Random(int(numbers[1])).sample(range(1, events + 1), min(int(numbers[0]), events)))
    )
    faults = {}
    for number in chosen:
        shutil.rmtree(work)
        shutil.copytree(folder, work)
        killed, code = in_fork(work, arguments, number), in_fork(work, arguments, None)
        wrong = [] if killed == -signal.SIGKILL else [f"exit {killed} in place of a kill"]
        wrong += [] if code == 0 else [f"exit {code}: {(home / 'err').read_text()[-500:]}"]
        wrong += [f"other: {other}" for other in [difference(expected, contents(work))] if other]
        if wrong:
            faults[number] = "; ".join(wrong)
    print(json.dumps({"events": events, "trials": len(chosen), "faults": faults}))


def split(words: list[str]) -> tuple[list[str], list[str]]:
    at = words.index("--")
    return words[:at], words[at + 1 :]


if __name__ == "__main__":
    main()
