"""Where caches lie and how large they are, and the JVM that Lucene would use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MOST_FILES = 200_000
"""Files that are counted in a cache; a larger one is reported as at least that large."""


@dataclass(frozen=True)
class Cache:
    """A folder that fills up by itself: its size in bytes (None: it does not exist), and whether all was counted."""

    name: str
    path: str
    size: int | None
    complete: bool = True


def caches() -> list[Cache]:
    """The caches of models, and of fidtools itself."""
    from fidtools.compute.bundled import cache_folder

    return [
        _measured("models of the Hugging Face hub", hub_folder()),
        _measured("converted models of fidtools", cache_folder()),
    ]


def hub_folder() -> Path:
    """Where huggingface_hub keeps models, by its own rules: HF_HUB_CACHE, else hub in HF_HOME."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME")
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" if not home else Path(home)
    return base.expanduser() / "hub"


def _measured(name: str, folder: Path) -> Cache:
    if not folder.is_dir():
        return Cache(name, str(folder), None)
    size = files = 0
    for at, _, names in os.walk(folder):
        for file in names:
            files += 1
            if files > MOST_FILES:
                return Cache(name, str(folder), size, complete=False)
            path = os.path.join(at, file)
            if not os.path.islink(path):  # the hub's snapshots are links to its blobs
                size += _size(path)
    return Cache(name, str(folder), size)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def jvm() -> str:
    """The Java that Lucene would use, or why there is none."""
    from fidtools.errors import FidtoolsError
    from fidtools.sparse.jvm import java_home, java_version

    try:
        home = java_home()
    except FidtoolsError as error:
        return error.message
    return f"Java {java_version(home)} in {home}"
