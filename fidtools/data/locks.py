"""Locks between processes: one at a time where work must not be done twice, and proof that a writer is still alive.

The locks are the kernel's (flock), so they end with their process, however that ends. On a file system without locks
nobody waits, and nothing is taken for abandoned.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from fidtools.errors import FidtoolsError
from fidtools.logs import log

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def acquire(path: Path, *, wait: bool = False) -> int | None:
    """Lock the folder `path`, or the file, created if need be.

    Returns its descriptor, to be closed, or None when another process has it.
    """
    while True:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _flock(descriptor, wait):
                os.close(descriptor)
                return None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                os.close(descriptor)
                raise
            return descriptor
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # removed between opening and locking: this lock keeps nobody out any more


def _lock_file(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


def clear_lock(target: Path) -> None:
    """Remove the lock file of `target` that a killed process has left, where there is one."""
    path = _lock_file(target)
    if path.exists():
        with contextlib.suppress(OSError), abandoned(path) as free:
            if free:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(target: Path, activity: str, *, wait: bool = True) -> Iterator[None]:
    """One process at a time for `target`, by the lock file `.NAME.lock` beside it.

    Another process logs that it waits; without `wait` it raises FidtoolsError.
    """
    path = _lock_file(target)
    lock = acquire(path)
    if lock is None and not wait:
        hint = "wait until that one has ended, or choose another path"
        raise FidtoolsError(f"{target}: another process is {activity}", hint=hint)
    if lock is None:
        log.info("%s: waiting for another process that is %s", target, activity)
        lock = acquire(path, wait=True)
    assert lock is not None, "acquire(wait=True) returns with the lock"
    try:
        yield
    finally:
        path.unlink(
            missing_ok=True
        )  # while it is held: a process that waits then sees that it is gone, and locks a new one
        os.close(lock)


@contextlib.contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether no living process holds the lock on the file or folder `path`; holds it itself during the block."""
    try:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:
        yield False
        return
    try:
        try:
            free = _flock(descriptor, wait=False) and _is_at(descriptor, path)
        except OSError:
            free = False
        yield free
    finally:
        os.close(descriptor)


def _flock(descriptor: int, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
