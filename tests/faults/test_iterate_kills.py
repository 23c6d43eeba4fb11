"""bin/iterate.sh, killed at any of its own commands, ends the same when it is started again.

A stand-in for `fidtools` writes what it was asked for; the real commands are killed in tests/faults/test_kills.py. A
trap that bash runs before each of its commands counts them, and sends the signal to the script and all it started.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TRAP = """
if [[ $0 == */iterate.sh ]]; then
  set -o functrace
  commands=0
  trap 'if ((++commands == KILL_AT)); then kill -"$SIGNAL" 0; fi' DEBUG
  trap 'echo "$commands" >"$COUNT"' EXIT
fi
"""
STAND_IN = """#!/bin/sh
command=$*
while [ $# -gt 0 ]; do
  [ "$1" != -o ] || out=$2
  shift
done
write() { printf '%s\\n' "$command" >"$1.part" && mv "$1.part" "$1"; }
case $command in
  fetch*)
    mkdir -p "$out"
    for name in train dev test passages; do write "$out/$name.jsonl"; done ;;
  train-*)
    mkdir -p "$out.partial"
    write "$out.partial/model"
    mv "$out.partial" "$out" ;;
  *) [ -z "$out" ] || write "$out" ;;
esac
"""
VARIED = {"stages.jsonl", ".lock"}
"""Files that hold times, or appear again."""


def prepare(home: Path) -> None:
    """A checkout without .venv, which would come first on the path; the stand-in; the trap."""
    shutil.copytree(ROOT / "bin", home / "checkout" / "bin")
    (home / "checkout" / "examples" / "toy").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "toy" / "settings.sh", home / "checkout" / "examples" / "toy")
    (home / "path").mkdir()
    (home / "path" / "fidtools").write_text(STAND_IN)
    (home / "path" / "fidtools").chmod(0o755)
    (home / "path" / "python3").symlink_to(sys.executable)
    (home / "trap.sh").write_text(TRAP)


def start(home: Path, kill_at: int = 0, number: signal.Signals = signal.SIGKILL) -> int:
    given = {
        "PATH": f"{home / 'path'}:/usr/bin:/bin",
        "BASH_ENV": str(home / "trap.sh"),
        "COUNT": str(home / "count"),
        "KILL_AT": str(kill_at),
        "SIGNAL": number.name[3:],
        "DATA": str(home / "data"),
        "RUN": str(home / "run"),
        "READER": "reader",
        "RETRIEVER": "retriever",
    }
    command = [str(home / "checkout" / "bin" / "iterate.sh"), "toy", "1"]
    with open(home / "err", "w") as err:
        done = subprocess.run(command, env=given, stdout=err, stderr=err, start_new_session=True, check=False)
    return done.returncode


def contents(home: Path) -> dict[str, str]:
    files = (path for name in ("run", "data") for path in (home / name).rglob("*") if path.is_file())
    return {str(path.relative_to(home)): path.read_text() for path in files if path.name not in VARIED}


def killed(home: Path, trials: int, seed: int) -> dict[str, str]:
    """What is wrong after each kill, of so many at commands that are drawn by the seed."""
    prepare(home)
    assert start(home) == 0, (home / "err").read_text()
    expected, commands = contents(home), int((home / "count").read_text())
    faults = {}
    for turn, at in enumerate(sorted(random.Random(seed).sample(range(1, commands + 1), trials))):
        for name in ("run", "data"):
            shutil.rmtree(home / name)
        number = SIGNALS[turn % len(SIGNALS)]
        code, again = start(home, at, number), start(home)
        if code not in (-number, 128 + number) or again or contents(home) != expected:
            other = [name for name in expected if contents(home).get(name) != expected[name]]
            faults[f"{number.name} at {at}"] = f"{code}, {again}, {other}: {(home / 'err').read_text()[-300:]}"
    print("iterate.sh:", commands, "commands,", trials, "trials")
    return faults


def test_the_script_ends_the_same_after_a_kill(tmp_path: Path) -> None:
    assert killed(tmp_path, 1, 1) == {}


@pytest.mark.slow
def test_the_script_ends_the_same_after_many_kills(tmp_path: Path) -> None:
    assert killed(tmp_path, 40, 2) == {}
