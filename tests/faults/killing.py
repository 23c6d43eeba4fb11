"""python killing.py FOLDER all|N SEED [two] -- ARGUMENTS: run fidtools ARGUMENTS in copies of FOLDER, with signals.

An event is what a process does to the files below the working folder: opening one to write, renaming, making and
removing. Each trial is a fork of this process, which has the libraries loaded: fork, kill, fork again without a kill.
`all` is a SIGKILL at every event; N is so many of the events, with each of SIGNALS in turn. With `two`, the first of
two processes stands still there while the second runs. Prints a line of JSON: how many events an undisturbed run has,
and for each trial what is wrong at the end.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import fidtools.cli

LIBRARIES = ["faiss", "tantivy", "transformers"]
LIBRARIES += ["fidtools.reader.train", "fidtools.retriever.train", "fidtools.teachers.train"]
"""What is loaded once, for all trials."""
EVENTS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink", "os.chmod"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
UNEQUAL = re.compile(r"(.*/)?(log\.jsonl|meta\.json|stages\.jsonl|.*\.bm25-tantivy/.*|.*\.index/meta\.json)")
"""Files that hold times, speeds or random names."""
TAKEN = re.compile("another process is|an unfinished run already exists")
WAIT = 20  # times 50 ms until a second process is taken for waiting
RANDOM_NAMES = "bm25-tantivy/index/"
SIGNALS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGSTOP: 0}
"""What a command ends with that gets one; a stopped one is let go on."""
UNFINISHED = re.compile(r"(.*/)?(\.[^/]*|[^/]+\.partial)(/.*)?")
"""What a command may leave that was asked to end: locks, and what `--resume` continues."""


def started(
    work: Path, arguments: list[str], at: int | None = None, number: signal.Signals = signal.SIGKILL, said: str = "err"
) -> int:
    """The id of a process that runs the command, and sends itself the signal at its event `at`."""
    if pid := os.fork():
        return pid
    signal.signal(signal.SIGTERM, fidtools.cli._terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(work)
    with open("/dev/null", "rb") as nothing, open(work.parent / said, "wb") as err:
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
        if count == at:
            os.kill(os.getpid(), number)

    sys.addaudithook(hook)
    try:
        code = fidtools.cli.run(arguments)
    except SystemExit as error:
        code = int(str(error.code))
    (work.parent / f"{said}.count").write_text(str(count))
    os._exit(code)


def ended(pid: int) -> int:
    """The exit status of a process; a stopped one is let go on."""
    status = os.waitpid(pid, os.WUNTRACED)[1]
    if os.WIFSTOPPED(status):
        os.kill(pid, signal.SIGCONT)
        status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status)


def contents(folder: Path) -> dict[str, bytes]:
    """The files that must have the same bytes, and the names of all that must be there."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: b"" if UNEQUAL.fullmatch(name) else path.read_bytes() for name, path in files.items()}


def difference(expected: dict[str, bytes], found: dict[str, bytes]) -> str:
    names = [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
    return ", ".join(name for name in names if RANDOM_NAMES not in name)


class Trials:
    """Trials in copies of a folder, compared with an undisturbed run."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self.folder, self.arguments = folder, arguments
        self.home = folder.parent / "trials"
        self.work = self.home / "work"
        self.begin()
        if code := ended(started(self.work, arguments)):
            sys.exit(f"undisturbed: exit {code}: {self.said()}")
        self.before, self.expected = contents(folder), contents(self.work)
        self.events = int((self.home / "err.count").read_text())

    def begin(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.folder, self.work)

    def said(self, name: str = "err") -> str:
        return (self.home / name).read_text()[-500:]

    def other(self) -> list[str]:
        different = difference(self.expected, contents(self.work))
        return [f"other: {different}"] if different else []

    def signalled(self, at: int, number: signal.Signals) -> list[str]:
        """What is wrong after a signal, and then the same command again."""
        self.begin()
        code = ended(started(self.work, self.arguments, at, number))
        is_done = code == 0 and number != signal.SIGKILL and not self.other()  # the signal came after all was done
        right = (code == SIGNALS[number] or is_done) and "Traceback" not in self.said()
        wrong = [] if right else [f"exit {code}: {self.said()}"]
        if number != signal.SIGKILL:
            wrong += [f"neither whole nor absent: {name}" for name in self.half()]
        code = ended(started(self.work, self.arguments))
        return wrong + ([f"exit {code}: {self.said()}"] if code else []) + self.other()

    def half(self) -> list[str]:
        left = {name: data for name, data in contents(self.work).items() if not UNFINISHED.fullmatch(name)}
        half = [name for name in left if left[name] not in (self.expected.get(name), self.before.get(name))]
        return [name for name in half if RANDOM_NAMES not in name]

    def two(self, at: int) -> list[str]:
        """What is wrong after two processes with one output, of which the first stands still at its event `at`.

        The second ends meanwhile, or waits. One may say that there is another.
        """
        self.begin()
        first = started(self.work, self.arguments, at, signal.SIGSTOP, "first")
        stopped = os.waitpid(first, os.WUNTRACED)[1]
        second = started(self.work, self.arguments, said="second")
        waited = (0, 0)
        for _ in range(WAIT):
            if (waited := os.waitpid(second, os.WNOHANG)) != (0, 0):
                break
            time.sleep(0.05)
        if os.WIFSTOPPED(stopped):
            os.kill(first, signal.SIGCONT)
            stopped = os.waitpid(first, 0)[1]
        ends = [stopped, waited[1] if waited != (0, 0) else os.waitpid(second, 0)[1]]
        codes = {name: os.waitstatus_to_exitcode(end) for name, end in zip(("first", "second"), ends, strict=True)}
        refused = [name for name, code in codes.items() if code and not TAKEN.search(self.said(name))]
        wrong = [f"{name} exit {codes[name]}: {self.said(name)}" for name in refused]
        return wrong + ([] if 0 in codes.values() else ["neither ended well"]) + self.other()


def main() -> None:
    for library in LIBRARIES:
        importlib.import_module(library)
    how, arguments = split(sys.argv[2:])
    trials = Trials(Path(sys.argv[1]), arguments)
    every = list(range(1, trials.events + 1))
    faults = {}
    chosen = every if how[0] == "all" else random.Random(int(how[1])).sample(every, min(int(how[0]), len(every)))
    for turn, at in enumerate(sorted(chosen)):
        number = signal.SIGKILL if how[0] == "all" else list(SIGNALS)[turn % len(SIGNALS)]
        wrong = trials.two(at) if how[-1] == "two" else trials.signalled(at, number)
        if wrong:
            faults[f"{'two' if how[-1] == 'two' else number.name} at {at}"] = "; ".join(wrong)
    print(json.dumps({"events": trials.events, "trials": len(chosen), "faults": faults}))


def split(words: list[str]) -> tuple[list[str], list[str]]:
    at = words.index("--")
    return words[:at], words[at + 1 :]


if __name__ == "__main__":
    main()
