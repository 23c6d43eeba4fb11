"""What a file is that could not be read as questions or passages, and how to convert it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from fidtools.data.files import PathLike
from fidtools.documents.reading import SUFFIXES, TEXT
from fidtools.errors import DataError, show_path
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
        if known is None and error.expected == "passages" and not head.start and error.hint is None:
            error.hint = f"a text? fidtools chunk makes passages of files whose name ends in {', '.join(TEXT)}"
        wanted = f"not {error.expected} as JSON lines"
        return error if known is None else DataError(f"{wanted}: it is {known}", path=error.path)
    if found.kind != error.expected:
        problem = f"contains {found.kind} ({found.name}: {found.description}), not {error.expected}"
        return DataError(problem, path=error.path, hint=question_lines_hint(found.name, error.path, error.expected))
    if found.name in ("jsonl", "passages", "fid", "dpr", "psgs", "beir-corpus", "nq-open"):
        return error  # what the command reads: the first record is at fault
    hint = _conversion(error.path, f"{error.expected}.jsonl")
    return DataError(f"looks like {found.name} ({found.description})", path=error.path, hint=hint)


def conversion_of_folder(path: PathLike) -> str:
    """A second line for the message about a folder in the place of a file; empty for one of no known content."""
    found = matching_format(Head.of(path)) if Path(path).is_dir() else None
    if found is None:
        shown = shlex.quote(show_path(path))
        documents = any(Path(name).suffix.lower() in SUFFIXES for name in os.listdir(path))
        return f"\n  documents? fidtools chunk {shown} -o passages.jsonl makes passages of them" if documents else ""
    output = "embeddings.npy" if found.kind == "embeddings" else f"{found.kind}.jsonl"
    return f"\n  it looks like {found.name} ({found.description}); {_conversion(path, output)}"


def question_lines_hint(found: str, path: PathLike, expected: str) -> str | None:
    """How to read a text file that holds a question on each line."""
    if (found, expected) != ("text", "questions"):
        return None
    shown = shlex.quote(show_path(path))
    return f"a question on each line? fidtools convert {shown} --from question-lines -o questions.jsonl"


def _conversion(path: PathLike, output: str) -> str:
    return f"convert it first: fidtools convert {shlex.quote(show_path(path))} -o {output}"
