"""BM25 indexes on disk: built once, stored beside the passages, checked against them, and reused."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidtools.data.corpus import Corpus, is_writable
from fidtools.data.files import STANDARD, PathLike, atomic_folder
from fidtools.data.hashes import file_sha256
from fidtools.data.jsonl import encodable, write_json
from fidtools.data.locks import clear_lock, exclusive
from fidtools.data.outputs import FolderKind
from fidtools.data.pipes import is_pipe, temporary_folder
from fidtools.errors import DataError, FidtoolsError, MismatchError, UsageError, show_path
from fidtools.logs import log, track
from fidtools.sparse.engine import BM25Settings, Builder, Engine

FORMAT = 4
"""1 had no hashes of the files, and took a sentence of a script without spaces for one word; 2 told spellings apart;
3 split words at marks and zero-width spaces."""
KIND = FolderKind("a BM25 index", ("meta.json",), ("meta.json", "index/*"), has_force=False)
OPTION = "--index of bm25, or --bm25-index of other commands"
PACKAGES = {"tantivy": "tantivy", "lucene": "pyserini"}


@dataclass(frozen=True)
class IndexFolder:
    """`index/` holds the engine's files, `meta.json` what it was built from. The folder appears when it is complete."""

    path: Path

    @property
    def index(self) -> Path:
        """The folder of the engine's files."""
        return self.path / "index"

    def meta(self) -> dict[str, Any] | None:
        """What the index was built from; None where there is no index."""
        try:
            found: dict[str, Any] = json.loads((self.path / "meta.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found

    def damage(self) -> str:
        """What is wrong with the engine's files, of which each was recorded with its hash; empty when nothing is.

        An engine maps its files into memory and follows whatever a damaged one says.
        """
        for name, sha256 in (self.meta() or {}).get("files", {}).items():
            try:
                if file_sha256(self.path / name) != sha256:
                    return f"{name} is damaged"
            except OSError:
                return f"{name} is missing"
        return ""

    def is_built_from(self, expected: dict[str, Any]) -> bool:
        """Whether there is an index here, built from these passages with these settings."""
        found = self.meta()
        return found is not None and not _difference(found, expected)


def default_folder(passages: PathLike, settings: BM25Settings) -> Path:
    """Where the index is unless the user names a folder: `<passages>.bm25-<engine>`.

    Beside a pipe or standard input there is no place: that of this process's temporary files.
    """
    if str(passages) == STANDARD or is_pipe(passages):
        return temporary_folder() / f"passages.bm25-{settings.engine}"
    place = Path(f"{passages}.bm25-{settings.engine}")
    return place.with_name(show_path(place.name))  # the engines take UTF-8 only


def open_index(passages: Corpus, settings: BM25Settings, folder: PathLike | None = None) -> Engine:
    """The index of these passages, built where there is none.

    The default folder (see `default_folder`) is rebuilt when passages or analyzer have changed. One that the user named
    is not: MismatchError says what differs. Of several processes that need a new index, one builds it and the others
    wait.
    """
    place = IndexFolder(Path(folder) if folder is not None else default_folder(passages.path, settings))
    if encodable(str(place.path)) != str(place.path):
        raise UsageError(f"{place.path}: the name of an index must be UTF-8", hint=f"name another folder with {OPTION}")
    expected = _expected(passages, settings)
    if place.is_built_from(expected):
        clear_lock(place.path)
        return _open(place, passages, settings)
    _refuse_or_announce(place, expected, named=folder is not None)
    with exclusive(place.path, "building this index"):
        if not place.is_built_from(expected):  # another process may have built it while this one waited
            _build(place, passages, settings, expected)
        return _open(place, passages, settings)


def _expected(passages: Corpus, settings: BM25Settings) -> dict[str, Any]:
    version = ".".join(importlib.metadata.version(PACKAGES[settings.engine]).split(".")[:2])
    return settings.index_part() | {
        "format": FORMAT,
        "engine_version": version,
        "rows": len(passages),
        "text_sha256": passages.text_sha256,
    }


def _difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    names = [name for name, value in expected.items() if found.get(name) != value]
    return ", ".join(f"{name} {_short(found.get(name))} instead of {_short(expected[name])}" for name in names)


def _short(value: object) -> str:
    return str(value)[:12]


def _refuse_or_announce(place: IndexFolder, expected: dict[str, Any], named: bool) -> None:
    """Raise the error for a folder that must not be replaced, and log why one is rebuilt."""
    if (found := place.meta()) is not None:
        different = _difference(found, expected)
        if named:
            hint = f"name another folder with {OPTION}; or remove this one"
            raise MismatchError(
                f"this index was built from other passages or settings: {different}", path=place.path, hint=hint
            )
        log.info("%s: was built from other passages or settings (%s); rebuilding it", place.path, different)
    elif place.path.is_dir() and any(place.path.iterdir()):
        raise FidtoolsError(f"{place.path} is not a BM25 index of fidtools", hint=f"name a new folder with {OPTION}")
    if not is_writable(place.path.absolute().parent):
        raise PermissionError(13, f"Permission denied (choose the place of the index with {OPTION})", str(place.path))


def _build(place: IndexFolder, passages: Corpus, settings: BM25Settings, meta: dict[str, Any]) -> None:
    log.info("building the BM25 index %s of %s passages", place.path, f"{len(passages):,}")
    with atomic_folder(place.path, KIND) as partial:
        build = _builder(settings)
        build(partial / "index", track(passages, "passages indexed", len(passages)), settings)
        files = {path.relative_to(partial).as_posix(): file_sha256(path) for path in _files(partial)}
        write_json(partial / "meta.json", meta | {"files": files})


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted((folder / "index").rglob("*")) if path.is_file()]


def _builder(settings: BM25Settings) -> Builder:
    if settings.engine == "tantivy":
        from fidtools.sparse.tantivy_engine import build_tantivy

        return build_tantivy
    from fidtools.sparse.lucene_engine import build_lucene

    return build_lucene


def _open(place: IndexFolder, passages: Corpus, settings: BM25Settings) -> Engine:
    if damage := place.damage():
        hint = "remove it; it is built again then"
        raise DataError(f"{settings.engine} cannot open this index: {damage}", path=place.path, hint=hint)
    if settings.engine == "tantivy":
        from fidtools.sparse.tantivy_engine import TantivyEngine

        return TantivyEngine(place.index, settings, len(passages))
    from fidtools.sparse.lucene_engine import LuceneEngine

    return LuceneEngine(place.index, settings, len(passages))
