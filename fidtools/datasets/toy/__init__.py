"""The offline `toy` data set: a generated world small enough for two CPU cores."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .world import World, generate

__all__ = ["World", "generate", "write"]


def write(folder: str | Path, *, seed: int = 0) -> World:
    """Write `passages.jsonl`, `train.jsonl`, `dev.jsonl` and `test.jsonl`; the same seed gives the same bytes."""
    world = generate(seed)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    write_lines(target / "passages.jsonl", world.passages)
    for split, questions in world.questions.items():
        write_lines(target / f"{split}.jsonl", questions)
    return world


def write_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """One JSON object per line; the file appears whole or not at all."""
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    partial.replace(path)
