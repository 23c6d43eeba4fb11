"""The record of a training run: what it is, by content, and how two records differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fidtools.compute.hub import resolve_model
from fidtools.data.hashes import file_sha256, folder_sha256
from fidtools.data.jsonl import as_read_back
from fidtools.data.pipes import is_pipe, seekable
from fidtools.errors import FidtoolsError, shorten

Record = Mapping[str, Any]

FILES = ("train", "dev", "word_vectors")
STARTS = {"train-reader": "reader", "train-retriever": "retriever", "train-teacher": "teacher"}
"""The entry that names the initial model, by command."""
NOT_IN_START = ("last/*", "README.md", "training.json", "log.jsonl", "tracking/*", ".*", "*/.*")
HASHES = "hashes"
HUB_SNAPSHOTS = "snapshots"
"""The folder in the hub's cache that holds one folder per commit."""
MOST_DIFFERENCES = 5


def with_hashes(record: Record) -> dict[str, Any]:
    """The record with the hashes of its data files and of the initial model, as JSON holds it."""
    files = {name: record[name] for name in FILES if record.get(name)}
    copies = {name: seekable(path) if is_pipe(path) else path for name, path in files.items()}
    hashes = {name: file_sha256(path) for name, path in copies.items() if Path(path).is_file()}
    start = STARTS.get(record.get("command", ""), "")
    if record.get(start) and (version := model_version(record[start])):
        hashes[start] = version
    found: dict[str, Any] = as_read_back(dict(record) | ({HASHES: hashes} if hashes else {}))
    return found


def model_version(name: str) -> str | None:
    """The hash of a model's folder, or its commit on the hub. None where there is no such model."""
    try:
        folder = resolve_model(name)
    except FidtoolsError:  # whoever loads it reports that
        return None
    return folder.name if folder.parent.name == HUB_SNAPSHOTS else folder_sha256(folder, NOT_IN_START)


def differences(before: Record, now: Record, ignore: tuple[str, ...] = ()) -> str:
    """What differs, `lr was 0.1, is now 0.2; …`, in other entries than `ignore`; empty when nothing does.

    A record from before there were hashes is compared without them.
    """
    left_out = {*ignore, HASHES}
    old, new = ({name: value for name, value in record.items() if name not in left_out} for record in (before, now))
    different = list(dict.fromkeys([*_differences(old, new), *_other_contents(before, now)]))
    more = f"; and {len(different) - MOST_DIFFERENCES} more" if len(different) > MOST_DIFFERENCES else ""
    return "; ".join(different[:MOST_DIFFERENCES]) + more


def _other_contents(before: Record, now: Record) -> Iterator[str]:
    """The files that have the same name and other contents."""
    old, new = before.get(HASHES) or {}, now.get(HASHES) or {}
    known = old.keys() | (new.keys() & set(FILES))  # records of version 0.1 have no hash of a model on the hub
    for name in sorted(known) if HASHES in before else ():
        if before.get(name) == now.get(name) and old.get(name) != new.get(name):
            yield f"{now.get(name)} has other contents"


def _differences(before: Record, now: Record) -> Iterator[str]:
    """What differs, entry by entry, nested ones too."""
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new)
        elif old != new:
            yield f"{name} was {shorten(old)}, is now {shorten(new)}"
