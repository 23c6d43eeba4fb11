"""What a report is about: the iterations of a run's folder, or files given by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fidtools.data.jsonl import encodable
from fidtools.errors import DataError, UsageError

STARTS = {"bm25": "BM25", "bert": "untrained retriever"}
SUFFIXES = ("", ".gz")


@dataclass(frozen=True)
class Source:
    """One system: a file of questions with passages and predictions. `folder` is its iteration's, in a run."""

    name: str
    path: Path
    folder: Path | None = None
    baseline: bool = False


@dataclass(frozen=True)
class Sources:
    """The systems to compare, in order, the first being the start; `run` is the folder they come from, if one."""

    title: str
    systems: list[Source]
    run: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)


def find_sources(paths: Sequence[Path], split: str, baselines: Sequence[Path] = ()) -> Sources:
    """The systems of one run's folder, or of several files.

    Raises UsageError for a folder among files, DataError for a folder without any iteration.
    """
    others = [Source(name, path, baseline=True) for name, path in zip(file_names(baselines), baselines, strict=True)]
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        found = [Source(name, path) for name, path in zip(file_names(paths), paths, strict=True)]
        return Sources(", ".join(source.name for source in found), _distinct([*found, *others]))
    if len(paths) > 1:
        raise UsageError(f"{folders[0]} is a folder: give one folder of a run, or files")
    run = folders[0]
    settings = read_settings(run)
    return Sources(run.resolve().name, _distinct([*_iterations(run, split, settings), *others]), run, settings)


def _iterations(run: Path, split: str, settings: dict[str, str]) -> list[Source]:
    found = []
    for folder in iteration_folders(run):
        if path := _ranked_file(folder, split):
            number = int(folder.name)
            start = STARTS.get(settings.get("START", ""), "start")
            found.append(Source(f"iteration {number}" if number else start, path, folder))
    if not found:
        hint = f"a run of the repository's bin/iterate.sh has 0/{split}.answered.jsonl; or give files: a.jsonl b.jsonl"
        raise DataError(f"no iteration with {split}.answered.jsonl or {split}.jsonl in it", path=run, hint=hint)
    return found


def iteration_folders(run: Path) -> list[Path]:
    """The folders 0, 1, 2 … of a run, in that order."""
    return sorted((f for f in run.iterdir() if f.is_dir() and f.name.isdecimal()), key=lambda f: int(f.name))


def _ranked_file(folder: Path, split: str) -> Path | None:
    names = [f"{split}{kind}.jsonl{suffix}" for kind in (".answered", "") for suffix in SUFFIXES]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_settings(run: Path) -> dict[str, str]:
    """NAME=value of each line of settings.txt; {} where there is none."""
    path = run / "settings.txt"
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {name: value for name, equals, value in (line.partition("=") for line in lines) if equals}


def file_names(paths: Sequence[Path]) -> list[str]:
    """Short names that tell files apart: up to the first dot, else the folder's (0/test.jsonl), else the whole path."""
    for names in ([path.name.split(".")[0] for path in paths], [path.parent.name for path in paths]):
        if all(names) and len(set(names)) == len(names):
            return [encodable(name) for name in names]
    return [encodable(str(path)) for path in paths]


def _distinct(systems: list[Source]) -> list[Source]:
    names = [source.name for source in systems]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two systems are called {twice}: give files of different names")
    return systems
