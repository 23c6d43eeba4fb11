"""Whether the folder of a data set is what its `dataset.json` says, and what was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fidtools.data.hashes import file_sha256
from fidtools.errors import DataError, UsageError

INFO_FILE = "dataset.json"
HASHED_BYTES = 1 << 28
"""Larger files are compared by their size alone, except questions."""


def recorded(folder: Path, field: str) -> dict[str, Any]:
    """A field of `dataset.json` that is an object; empty where there is none."""
    try:
        return dict(json.loads((folder / INFO_FILE).read_bytes())[field])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def described_files(folder: Path, questions: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """For `dataset.json`: the hashes of the questions and of small files, and the size of every file."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    names = [name for name in sizes if Path(name).stem in questions or sizes[name] <= HASHED_BYTES]
    return {"sha256": {name: file_sha256(folder / name) for name in names}, "bytes": sizes}


def refuse_other_dataset(folder: Path, dataset: str, seed: int | None) -> None:
    """Raise UsageError where the folder has another data set, or one that was generated from another seed.

    Raises DataError for a `dataset.json` that says neither which data set nor what its files are.
    """
    hint = "choose another folder with -o, or --force to replace it"
    try:
        found = json.loads((folder / INFO_FILE).read_bytes())["dataset"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("not a record of `fetch`", path=folder / INFO_FILE, hint=hint) from error
    if not recorded(folder, "sha256"):
        raise DataError("has no hashes of files, which `fetch` writes", path=folder / INFO_FILE, hint=hint)
    if found != dataset:
        raise UsageError(f"{folder} holds the data set {found}, not {dataset}", hint=hint)
    made_from = recorded(folder, "notes").get("seed", seed)
    if seed is not None and made_from != seed:
        raise UsageError(f"{folder} was made with --seed {made_from}, not {seed}", hint=hint)


def refuse_damage(folder: Path) -> None:
    """Raise DataError for a file that is missing, or not as it was written; compressing one is allowed."""
    sizes, hashes = recorded(folder, "bytes"), recorded(folder, "sha256")
    for name in dict.fromkeys([*sizes, *hashes]):
        path, hint = folder / name, "--force writes the folder again"
        if not path.exists():
            if not path.with_name(f"{name}.gz").exists():
                raise DataError("missing, although dataset.json describes it", path=path, hint=hint)
        elif (size := path.stat().st_size) != sizes.get(name, size):
            raise DataError(f"{size} bytes instead of {sizes[name]}", path=path, hint=hint)
        elif name in hashes and file_sha256(path) != hashes[name]:
            raise DataError("not the file that dataset.json describes: its SHA-256 differs", path=path, hint=hint)
