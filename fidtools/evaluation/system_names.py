"""Short names of files in tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def distinct_names(files: Sequence[str]) -> list[str]:
    """The files' names without what all of them share: folders in front; in folders of their own, the name at the end.

    `runs/1/test.jsonl` and `runs/2/test.jsonl` are `1` and `2`; `runs/a.jsonl` and `runs/b.jsonl` are `a.jsonl` and
    `b.jsonl`.
    """
    parts = [list(Path(file).parts) for file in files]
    if len(set(files)) < 2:
        return [str(Path(*names[-1:])) for names in parts]
    for end in (0, -1):
        while all(len(names) > 1 for names in parts) and len({names[end] for names in parts}) == 1:
            for names in parts:
                names.pop(end)
    return [str(Path(*names)) for names in parts]
