"""Which files of a folder are read as documents, and what their ids and titles are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from fidtools.data.files import PathLike
from fidtools.data.read import read_passages
from fidtools.data.records import Passage
from fidtools.data.words import LAYOUT
from fidtools.documents.content import Content, UnreadableError, document
from fidtools.documents.docx_files import read_docx
from fidtools.documents.html_files import read_html
from fidtools.documents.markdown import split_title
from fidtools.documents.pdf_files import read_pdf
from fidtools.errors import DataError, FidtoolsError, MissingExtraError, show_path
from fidtools.logs import log

TEXT = (".txt", ".md", ".markdown", ".rst")
READERS: dict[str, Callable[[Path], Content]] = {
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".pdf": read_pdf,
    ".docx": read_docx,
}
"""Of formats that need the extra `documents`."""
PACKAGES = {".html": "lxml", ".htm": "lxml", ".xhtml": "lxml", ".pdf": "pypdf", ".docx": "docx"}
"""The module that each of them needs."""
SUFFIXES = (*TEXT, *READERS)
TO_UTF8 = "`iconv -f CP1252 -t UTF-8 old > new` converts old Windows files, -f UTF-16 those with two bytes a letter"
HIDDEN = (".", "~$")
"""How the names of hidden files begin; Office keeps one with ~$ beside each file that is open."""
MARKDOWN = (".md", ".markdown")


def read_documents(paths: Iterable[PathLike]) -> Iterator[Passage]:
    """The documents of folders (recursively, by name), of text, HTML, PDF and DOCX files, of JSONL and of DPR tables.

    A file's id is its path in the given folder without the suffix; with it where two files differ in nothing else. Its
    title is the one that it has inside, the first Markdown heading `# …` (which is then left out of the text), else the
    file's name. Hidden files and folders are not read, and what else is left out of a folder is reported.

    A file that is encrypted, damaged or without text is reported, counted and left out; so are text files in a folder
    that are not UTF-8, and files whose format needs a package that is missing. Raises DataError for a folder without
    documents, for two files of one id, and for a text file by its own name that is not UTF-8; FidtoolsError where no
    document can be read.
    """
    origins: dict[str, Path] = {}
    unread, others = _Unread(), False
    for path in map(Path, paths):
        if path.is_dir():
            files = _ids(_document_files(path), path)
        elif path.suffix.lower() in SUFFIXES:
            files = _ids([path], path.parent)
        else:
            yield from read_passages(path)
            others = True
            continue
        for identifier, file in files.items():
            if (other := origins.setdefault(identifier, file)) is not file:
                problem = f"has the id of {show_path(other)}" if other != file else "is given twice"
                raise DataError(problem, path=file, field="id", value=identifier, hint="give one folder for both")
            try:
                yield _text_file(file, identifier) if file.suffix.lower() in TEXT else _other_file(file, identifier)
            except UnreadableError as error:
                unread.note(file, str(error))
            except NotUtf8Error as error:
                if not path.is_dir():
                    raise
                unread.note(file, f"{error.problem}; {error.hint}")
    unread.report(len(origins), others)


class NotUtf8Error(DataError):
    """A text file in another encoding."""


class _Unread:
    """The files that could not be read."""

    def __init__(self) -> None:
        self.count = 0

    def note(self, file: Path, reason: str) -> None:
        self.count += 1
        log.warning("%s: not read: %s", show_path(file), reason)

    def report(self, total: int, others: bool) -> None:
        """Say how many there were. Raises FidtoolsError when they were all, and there were no JSON lines or tables."""
        if self.count and self.count == total and not others:
            raise FidtoolsError(f"none of the {total:,} documents could be read" if total > 1 else "nothing was read")
        if self.count:
            log.warning("%s of %s documents could not be read", f"{self.count:,}", f"{total:,}")


def _other_file(path: Path, identifier: str) -> Passage:
    """An HTML, PDF or DOCX file."""
    content = READERS[path.suffix.lower()](path)
    if content.remark:
        log.warning("%s: %s", show_path(path), content.remark)
    return document(identifier, content.title or _title_of_name(path), content.blocks)


def _document_files(folder: Path) -> list[Path]:
    """The documents of a folder by name. Warns of what is left out."""
    found: list[Path] = []
    left_out, unreadable = Counter[str](), Counter[str]()
    for path in sorted(_entries(folder)):
        if any(part.startswith(HIDDEN) for part in path.relative_to(folder).parts):
            left_out["hidden"] += 1
        elif not path.is_file():
            left_out[_other_kind(path)] += 1
        elif (suffix := path.suffix.lower()) in READERS and find_spec(PACKAGES[suffix]) is None:
            unreadable[suffix] += 1
        elif suffix in SUFFIXES:
            found.append(path)
        else:
            left_out[show_path(path.suffix) or "without a suffix"] += 1
    if left_out:
        log.warning("%s: files left out: %s", show_path(folder), _listed(left_out))
    if unreadable:
        error = MissingExtraError(f"reading {_listed(unreadable)} of {show_path(folder)}", "documents")
        if not found:
            raise error
        log.warning("left out: %s", error)
    if not found:
        raise DataError(f"the folder contains no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} files", path=folder)
    return found


def _other_kind(path: Path) -> str:
    """Why an entry of a folder that is no file is left out."""
    if path.is_dir():
        return "as a link to a folder"
    return "as a pipe, a socket or a device" if path.exists() else "as a link to nothing"


def _entries(folder: Path) -> Iterator[Path]:
    """What is below a folder, but folders. Links to folders are not followed. In any order."""

    def unreadable(error: OSError) -> None:
        log.warning("%s: not read: %s", show_path(error.filename), error.strerror)

    for place, folders, names in os.walk(folder, onerror=unreadable):
        found = (Path(place, name) for name in folders + names)
        yield from (path for path in found if path.is_symlink() or not path.is_dir())


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())


def _ids(files: Iterable[Path], folder: Path) -> dict[str, Path]:
    """The files by id. A name need not be UTF-8; an id must be."""
    names = {show_path(file.relative_to(folder).as_posix()): file for file in files}
    stems = {name: name.removesuffix(show_path(file.suffix)) for name, file in names.items()}
    counts = Counter(stems.values())
    unique = {name: stem for name, stem in stems.items() if counts[stem] == 1 and stem not in names}
    return {unique.get(name, name): file for name, file in names.items()}


def _text_file(path: Path, identifier: str) -> Passage:
    try:
        text = path.read_text(encoding="utf-8-sig").translate(LAYOUT)
    except UnicodeDecodeError as error:
        raise NotUtf8Error(f"not UTF-8: {error}", path=path, hint=TO_UTF8) from error
    if 10 * text.count("\0") > len(text):  # valid UTF-8, but no text: UTF-16 without a byte-order mark
        raise NotUtf8Error("not UTF-8 but UTF-16 or binary: it has many NUL characters", path=path, hint=TO_UTF8)
    title = _title_of_name(path)
    if path.suffix.lower() in MARKDOWN:
        found, text = split_title(text)
        title = found or title
    return Passage(id=identifier, title=title, text=text)


def _title_of_name(path: Path) -> str:
    return show_path(path.stem).replace("_", " ")
