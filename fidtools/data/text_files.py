"""Documents in text files: which files of a folder are read, and what their ids and titles are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from fidtools.data.files import PathLike
from fidtools.data.read import read_passages
from fidtools.data.records import Passage
from fidtools.errors import DataError, show_path
from fidtools.logs import log

SUFFIXES = (".txt", ".md", ".markdown", ".rst")
MARKDOWN = (".md", ".markdown")
_HEADING = re.compile(r"\A\s*#\s+(?P<title>.+?)\s*#*\s*$", re.MULTILINE)


def read_documents(paths: Iterable[PathLike]) -> Iterator[Passage]:
    """The documents of folders of text files (recursively, by name), of such files, of JSONL and of DPR tables.

    A text file's id is its path in the given folder without the suffix; with it where two files differ in nothing
    else. Its title is the first Markdown heading `# …` (which is then left out of the text), else the file's name.
    Hidden files and folders are not read, and what else is left out of a folder is reported. Raises DataError for a
    folder without text files, for two files of one id, and for text that is not UTF-8.
    """
    origins: dict[str, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            files = _ids(_text_files(path), path)
        elif path.suffix.lower() in SUFFIXES:
            files = _ids([path], path.parent)
        else:
            yield from read_passages(path)
            continue
        for identifier, file in files.items():
            if (other := origins.setdefault(identifier, file)) != file:
                problem = f"has the id of {show_path(other)}"
                raise DataError(problem, path=file, field="id", value=identifier, hint="give one folder for both")
            yield _text_file(file, identifier)


def _text_files(folder: Path) -> list[Path]:
    """The text files of a folder by name. Warns of what is left out."""
    found: list[Path] = []
    left_out: Counter[str] = Counter()
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            left_out["hidden"] += 1
        elif path.suffix.lower() in SUFFIXES:
            found.append(path)
        else:
            left_out[show_path(path.suffix) or "without a suffix"] += 1
    if left_out:
        listed = ", ".join(f"{count:,} {kind}" for kind, count in left_out.most_common())
        log.warning("%s: files left out: %s", show_path(folder), listed)
    if not found:
        raise DataError(f"the folder contains no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} files", path=folder)
    return found


def _ids(files: Iterable[Path], folder: Path) -> dict[str, Path]:
    """The files by id. A name need not be UTF-8; an id must be."""
    names = {show_path(file.relative_to(folder).as_posix()): file for file in files}
    stems = {name: name.removesuffix(show_path(file.suffix)) for name, file in names.items()}
    counts = Counter(stems.values())
    unique = {name: stem for name, stem in stems.items() if counts[stem] == 1 and stem not in names}
    return {unique.get(name, name): file for name, file in names.items()}


def _text_file(path: Path, identifier: str) -> Passage:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: {error}", path=path) from error
    title = show_path(path.stem).replace("_", " ")
    if path.suffix.lower() in MARKDOWN and (heading := _HEADING.match(text)):
        title, text = heading["title"], text[heading.end() :]
    return Passage(id=identifier, title=title, text=text)
