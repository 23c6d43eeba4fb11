"""What a file is that could not be read as questions or passages, and how to convert it."""

from __future__ import annotations

import shlex
from pathlib import Path

from fidtools.errors import DataError
from fidtools.formats.head import Head
from fidtools.formats.lookup import matching_format
from fidtools.formats.signatures import describe


def explained(error: DataError) -> DataError:
    """The error, or a better one when its file is of another format than the command reads.

    Only an error about the first record can be one about the format.
    """
    if error.expected is None or error.path is None:
        return error
    head = Head(Path(error.path), error.head) if error.head is not None else Head.of(error.path)
    if head.data[:2] == b"\x1f\x8b" or (found := matching_format(head)) is None:
        known = describe(head)
        wanted = f"not {error.expected} as JSON lines"
        return error if known is None else DataError(f"{wanted}: it is {known}", path=error.path)
    if found.kind != error.expected:
        problem = f"contains {found.kind} ({found.name}: {found.description}), not {error.expected}"
        return DataError(problem, path=error.path)
    if found.name in ("jsonl", "passages", "fid", "dpr", "psgs", "beir-corpus", "nq-open"):
        return error  # what the command reads: the first record is at fault
    hint = f"convert it first: fidtools convert {shlex.quote(str(error.path))} -o {error.expected}.jsonl"
    return DataError(f"looks like {found.name} ({found.description})", path=error.path, hint=hint)
