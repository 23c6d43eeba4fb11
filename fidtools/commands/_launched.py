"""Checks of a command that a launcher such as `torchrun` starts as several processes: their streams are shared."""

from __future__ import annotations

import os
from collections.abc import Iterable

from fidtools.commands._path_types import STANDARD
from fidtools.compute.launcher import LAUNCHER_SETS
from fidtools.data.number_text import is_count
from fidtools.errors import UsageError, show_path

SHARING = frozenset(
    "embed retrieve read generate-questions score-attn score-cross score-likelihood "
    "train-reader train-teacher train-retriever".split()
)
"""Commands whose processes share one work, and of which the first writes; of the others each does all of it."""


def refuse_shared_streams(name: str, inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """Raise UsageError where several processes of the command `name` would divide a pipe, or write all of it twice."""
    count = _processes("WORLD_SIZE" if name in SHARING else "LOCAL_WORLD_SIZE")
    if count < 2:
        return
    from fidtools.data.outputs import is_special
    from fidtools.data.pipes import is_pipe

    for path in inputs:
        if path == STANDARD or is_pipe(path):
            shown = "standard input" if path == STANDARD else f"the pipe {show_path(path)}"
            problem = f"{count} processes cannot read {shown}: each would get a part of it"
            raise UsageError(problem, hint="give the input as a file")
    for path in outputs:
        if name not in SHARING and path != os.devnull and (path == STANDARD or is_special(path)):
            shown = "standard output" if path == STANDARD else show_path(path)
            problem = f"each of {count} processes would write the whole result to {shown}: they share no work here"
            raise UsageError(problem, hint="start the command without a launcher, or give a file: -o FILE")


def _processes(variable: str) -> int:
    """How many processes the launcher has started: 1 without one. A number that makes no sense is reported later."""
    given = os.environ.get(variable, "1")
    return int(given) if is_count(given) and all(name in os.environ for name in LAUNCHER_SETS) else 1
