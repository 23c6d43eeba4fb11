"""Which files are compressed, by their names: those that end in .gz, in upper or lower case."""

from __future__ import annotations

from os import PathLike as OsPathLike

SUFFIX = ".gz"


def is_gzip(path: str | OsPathLike[str]) -> bool:
    """Whether the file is compressed."""
    return str(path).lower().endswith(SUFFIX)


def without_gzip(path: str | OsPathLike[str]) -> str:
    """The name without its .gz.

    >>> without_gzip("a.JSONL.GZ"), without_gzip("a.jsonl")
    ('a.JSONL', 'a.jsonl')
    """
    return str(path)[: -len(SUFFIX)] if is_gzip(path) else str(path)
