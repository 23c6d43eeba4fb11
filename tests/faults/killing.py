"""python killing.py FOLDER all|N SEED -- ARGUMENTS: run fidtools ARGUMENTS in copies of FOLDER, killed at its events.

An event is what a process does to the files below the working folder: opening one to write, renaming, making and
removing. Each trial is a fork of this process, which has the libraries loaded: fork, kill, fork again without a kill.
`all` is a SIGKILL at every event; N is so many of the events, with each of SIGNALS in turn. Prints a line of JSON: how
many events an undisturbed run has, and for each trial what is wrong at the end.
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
RANDOM_NAMES = "bm25-tantivy/index/"
SIGNALS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGSTOP: 0}
"""What a command ends with that gets one; a stopped one is let go on."""
UNFINISHED = re.compile(r"(.*/)?(\.[^/]*|[^/]+\.partial)(/.*)?")
"""What a command may leave that was asked to end: locks, and what `--resume` continues."""


def in_fork(
    work: Path,
    arguments: list[str],
    kill_at: int | None,
    report: Path | None = None,
    number: signal.Signals = signal.SIGKILL,
) -> int:
    """The exit status of the command in a process of its own."""
    if pid := os.fork():
        status = os.waitpid(pid, os.WUNTRACED)[1]
        if os.WIFSTOPPED(status):
            os.kill(pid, signal.SIGCONT)
            status = os.waitpid(pid, 0)[1]
        return os.waitstatus_to_exitcode(status)
    signal.signal(signal.SIGTERM, fidtools.cli._terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)
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
            os.kill(os.getpid(), number)

    sys.addaudithook(hook)
    try:
        code = fidtools.cli.run(arguments)
    except SystemExit as error:
        code = int(str(error.code))
    if report is not None:
        report.write_text(str(count))
    os._exit(code)


def contents(folder: Path) -> dict[str, bytes]:
    """The files that must have the same bytes, and the names of all that must be there."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: b"" if UNEQUAL.fullmatch(name) else path.read_bytes() for name, path in files.items()}


def difference(expected: dict[str, bytes], found: dict[str, bytes]) -> str:
    names = [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
    return ", ".join(name for name in names if RANDOM_NAMES not in name)


def main() -> None:
    torch.set_num_threads(1)
    folder, (numbers, arguments) = Path(sys.argv[1]), split(sys.argv[2:])
    home = folder.parent / "trials"
    work, report = home / "work", home / "count"
    shutil.copytree(folder, work)
    code = in_fork(work, arguments, None, report)
    if code:
        sys.exit(f"undisturbed: exit {code}: {(home / 'err').read_text()}")
    before, expected, events = contents(folder), contents(work), int(report.read_text())
    chosen = (
        list(range(1, events + 1))
        if numbers == ["all"]
        else sorted(random.Random(int(numbers[1])).sample(range(1, events + 1), min(int(numbers[0]), events)))
    )
    faults = {}
    for turn, at in enumerate(chosen):
        shutil.rmtree(work)
        shutil.copytree(folder, work)
        number = signal.SIGKILL if numbers == ["all"] else list(SIGNALS)[turn % len(SIGNALS)]
        killed, said = in_fork(work, arguments, at, number=number), (home / "err").read_text()
        ended = killed == 0 and not difference(expected, contents(work))  # the signal came after all was done
        right = (killed == SIGNALS[number] or (ended and number != signal.SIGKILL)) and "Traceback" not in said
        wrong = [] if right else [f"exit {killed}: {said[-500:]}"]
        if number != signal.SIGKILL:
            left = {name: data for name, data in contents(work).items() if not UNFINISHED.fullmatch(name)}
            half = [name for name in left if left[name] not in (expected.get(name), before.get(name))]
            wrong += [f"neither whole nor absent: {name}" for name in half if RANDOM_NAMES not in name]
        code = in_fork(work, arguments, None)
        wrong += [] if code == 0 else [f"exit {code}: {(home / 'err').read_text()[-500:]}"]
        wrong += [f"other: {other}" for other in [difference(expected, contents(work))] if other]
        if wrong:
            faults[f"{number.name} at {at}"] = "; ".join(wrong)
    print(json.dumps({"events": events, "trials": len(chosen), "faults": faults}))


def split(words: list[str]) -> tuple[list[str], list[str]]:
    at = words.index("--")
    return words[:at], words[at + 1 :]


if __name__ == "__main__":
    main()
