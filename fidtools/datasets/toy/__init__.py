"""The offline `toy` data set: a generated world small enough for two CPU cores."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fidtools.data.files import PathLike, open_output
from fidtools.datasets.toy.world import World, generate

__all__ = ["World", "generate", "write"]


def write(folder: PathLike, *, seed: int = 0) -> World:
    """Write `passages.jsonl`, `train.jsonl`, `dev.jsonl` and `test.jsonl`; the same seed gives the same bytes."""
    world = generate(seed)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for split, questions in world.questions.items():
        _write_records(target / f"{split}.jsonl", questions)
    _write_records(target / "passages.jsonl", world.passages)  # last: a folder with passages is complete
    return world


def _write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """One JSON object per line. With `json`, since orjson's lines have no spaces and so would be other bytes."""
    with open_output(path) as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
