"""Split documents into passages of a fixed number of words, as in the paper (section 4.2: 100, not overlapping)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from fidtools.data.corpus_rows import text_hash
from fidtools.data.files import PathLike
from fidtools.data.read import read_passages
from fidtools.data.records import Passage
from fidtools.data.words import TokenizerName, tokenizer
from fidtools.errors import DataError, UsageError

SUFFIXES = (".txt", ".md")
_HEADING = re.compile(r"\A\s*#\s+(?P<title>.+?)\s*#*\s*$", re.MULTILINE)


def chunk(
    documents: Iterable[Passage], words: int = 100, stride: int | None = None, by: TokenizerName = "whitespace"
) -> Iterator[Passage]:
    """The passages of each document, in order: `words` words, starting at every `stride`-th (default: no overlap).

    A document is a Passage whose text may be long. Passage 3 of document `d` has the id `d-3` (from 0); its `doc_id` is
    the document's own `doc_id`, else its id. Title and other fields are repeated, white space becomes single spaces.
    The last passage may be shorter. Raises DataError for a repeated document id, UsageError when `stride` would skip
    words.
    """
    step = stride or words
    if step > words:
        raise UsageError(f"--stride {step} is greater than --words {words}: the words in between would be lost")
    spans = tokenizer(by)

    def cut(text: str) -> Iterator[tuple[int, int]]:
        found = list(spans(text))
        for start in _starts(len(found), words, step):
            part = found[start : start + words]
            yield part[0][0], part[-1][1]

    return chunk_by(documents, cut)


def chunk_by(documents: Iterable[Passage], cut: Callable[[str], Iterable[tuple[int, int]]]) -> Iterator[Passage]:
    """The passages of each document, in order, where `cut` says that they start and end. See `chunk`.

    Raises DataError for a repeated document id.
    """
    seen = set[int]()
    for document in documents:
        if (key := text_hash(str(document.id))) in seen:
            raise DataError("two documents have this id", field="id", value=document.id)
        seen.add(key)
        for number, (start, end) in enumerate(cut(document.text)):
            text = " ".join(document.text[start:end].split())
            yield replace(
                document, id=f"{document.id}-{number}", text=text, doc_id=document.doc_id or document.id, scores={}
            )


def single_blanks(documents: Iterable[Passage]) -> Iterator[Passage]:
    """The documents with single spaces for all white space, as in their passages."""
    return (replace(document, text=" ".join(document.text.split())) for document in documents)


def _starts(total: int, words: int, step: int) -> Iterable[int]:
    """Where passages start; none starts whose words the one before it contains already."""
    return range(0, max(total - words + step, 1) if total else 0, step)


def read_documents(paths: Iterable[PathLike]) -> Iterator[Passage]:
    """The documents of folders of .txt and .md files (recursively, by name), of such files, of JSONL and of DPR tables.

    A text file's id is its path in the given folder without the suffix. Its title is the first Markdown heading `# …`
    (which is then left out of the text), else the file's name. Raises DataError for a folder without text files and
    for text that is not UTF-8.
    """
    for path in paths:
        if Path(path).is_dir():
            yield from _folder(Path(path))
        elif Path(path).suffix in SUFFIXES:
            yield _text_file(Path(path), Path(path).parent)
        else:
            yield from read_passages(path)


def _folder(folder: Path) -> Iterator[Passage]:
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    if not files:
        raise DataError(f"the folder contains no {' or '.join(SUFFIXES)} files", path=folder)
    return (_text_file(path, folder) for path in files)


def _text_file(path: Path, folder: Path) -> Passage:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: {error}", path=path) from error
    title = path.stem.replace("_", " ")
    if path.suffix == ".md" and (heading := _HEADING.match(text)):
        title, text = heading["title"], text[heading.end() :]
    return Passage(id=path.relative_to(folder).with_suffix("").as_posix(), title=title, text=text)
