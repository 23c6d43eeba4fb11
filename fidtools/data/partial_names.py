"""Names for unfinished outputs: one per process, and those of killed processes are found and removed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path

from fidtools.data.locks import abandoned, acquire


def name_beside(target: Path, suffix: str) -> Path:
    """A hidden name beside `target` that nothing else has: `.NAME.1f6e0a2c.partial`."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.{suffix}")


def names_beside(target: Path, suffix: str) -> list[Path]:
    """What any process has made under such names. Empty where the folder cannot be listed."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.{suffix}")
    try:
        return [target.with_name(name) for name in os.listdir(target.absolute().parent) if pattern.fullmatch(name)]
    except OSError:
        return []


def own_name(target: Path, folder: bool = False) -> tuple[Path, int]:
    """A new file (or folder) that no other process uses, and the lock that shows that this one is alive."""
    while True:
        partial = name_beside(target, "partial")
        if folder:
            partial.mkdir()
        elif not target.absolute().parent.is_dir():
            raise FileNotFoundError(2, "No such file or directory", str(target))
        with contextlib.suppress(FileNotFoundError):  # removed as abandoned before it was locked: try another name
            if (lock := acquire(partial)) is not None:
                if partial.is_dir() == folder:
                    return partial, lock
                os.close(lock)  # a folder that was removed: locking made a file of its name
                partial.unlink()


def clear_abandoned(target: Path) -> None:
    """Remove what killed processes left that were writing `target`; never what a living one is writing."""
    for partial in names_beside(target, "partial"):
        with abandoned(partial) as free:
            if free and partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            elif free:
                partial.unlink(missing_ok=True)
