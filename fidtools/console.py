"""The terminal: what may be drawn on it, and standard streams that are closed or cannot show a character.

Texts of the data (ids, names, fields, groups) are shown as they are and never obeyed: neither as rich's markup nor as
a terminal's escape sequences.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from fidtools.errors import FidtoolsError, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

DESCRIPTORS = {0: os.O_RDONLY, 1: os.O_WRONLY, 2: os.O_WRONLY}
stderr_in_use = threading.RLock()
"""Held while standard error is written to or is turned aside."""


def prepare_streams() -> None:
    """Make the standard streams of this process safe to use, whatever they are.

    A closed one (`>&-`) is taken by /dev/null, so that no file that is opened later gets its number; `sys.stdin` and
    `sys.stdout` stay None. Characters that an encoding lacks are replaced: on stderr by their escapes, on stdout by
    `?`. Bytes of file names that are not UTF-8 are printed as they are.
    """
    for number, flags in DESCRIPTORS.items():
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process runs
    _set_errors(sys.stderr, "backslashreplace")
    if sys.stdout is not None:
        utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        _set_errors(sys.stdout, "surrogateescape" if utf8 else "replace")


def _set_errors(stream: TextIO, errors: str) -> None:
    if reconfigure := getattr(stream, "reconfigure", None):
        reconfigure(errors=errors)


def standard_input() -> Any:
    """The bytes of standard input. Raises FidtoolsError when it is closed."""
    if sys.stdin is None:
        raise FidtoolsError("standard input is closed", hint="give a file instead of -")
    return sys.stdin.buffer


def standard_output() -> Any:
    """Standard output for bytes. Raises FidtoolsError when it is closed."""
    if sys.stdout is None:
        raise FidtoolsError("standard output is closed", hint="give a file: -o FILE")
    return sys.stdout.buffer


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Let what native libraries write to standard error, past Python, go to /dev/null while the block runs.

    Other threads that write messages wait (`stderr_in_use`).
    """
    with stderr_in_use:
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def on_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at the stream, or types into it."""
    return stream is not None and not stream.closed and stream.isatty()


def draws(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal that can move its cursor, for bars."""
    return on_terminal(stream) and os.environ.get("TERM", "").lower() not in ("", "dumb", "unknown")


def console(stream: TextIO | None = None) -> Console:
    """A console on the stream (default: standard output) that takes no text for markup, emoji or code."""
    from rich.console import Console

    return Console(file=stream, markup=False, emoji=False, highlight=False)


def literal(value: object, style: str = "") -> Text:
    """A text of the data as a cell or label: shown as it is, with the escapes of characters that cannot be."""
    from rich.text import Text

    return Text(printable(str(value)), style=style)
