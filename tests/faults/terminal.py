"""A terminal to run commands in: what a person sees, and what was sent."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

CURSOR = re.compile(r"\x1b\[(\d*)([AKJGHBCD]|m|[0-9;]*m)|\x1b\[\?\d+[hl]|\x1b\[[0-9;]*m")


def on_terminal(
    arguments: list[str], at: Path, *, width: int = 80, timeout: float = 20, **environment: str
) -> tuple[int, str]:
    """Run `python -m fidtools` with the three streams on a terminal; returns its exit code and all that was sent."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    command = arguments if arguments[0] == sys.executable else [sys.executable, "-m", "fidtools", *arguments]
    env = os.environ | {"TERM": "xterm", "COLUMNS": str(width)} | environment
    process = subprocess.Popen(
        command, cwd=at, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
    )
    os.close(slave)
    sent = bytearray()
    try:
        while select.select([master], [], [], timeout)[0]:
            try:
                sent += os.read(master, 1 << 16)
            except OSError:  # the other end is closed
                break
        return process.wait(timeout), sent.decode(errors="replace").replace("\r\n", "\n")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        os.close(master)


def screen(sent: str) -> list[str]:
    """The lines that stand on the terminal at the end: only what bars need is understood."""
    lines, row, column = [""], 0, 0
    place = 0
    while place < len(sent):
        if found := CURSOR.match(sent, place):
            count, kind = int(found[1] or 1) if found[1] is not None else 1, found[2] or ""
            if kind == "A":
                row = max(0, row - count)
            elif kind == "K":
                lines[row] = "" if found[1] == "2" else lines[row][:column]
            place = found.end()
            continue
        character = sent[place]
        place += 1
        if character == "\n":
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
        elif character == "\r":
            column = 0
        else:
            lines[row] = lines[row].ljust(column)[:column] + character + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]
