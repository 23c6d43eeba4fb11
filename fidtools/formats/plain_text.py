"""Queries and triples in tab-separated lines, and documents in text files."""

from __future__ import annotations

from collections.abc import Iterator

from fidtools.data.files import PathLike
from fidtools.data.gzip_names import without_gzip
from fidtools.data.jsonl import read_bounded
from fidtools.data.list_text import begins_a_list, parse_list_text
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError
from fidtools.formats.detection import columns, is_header
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.parsing import checked_input, read_lines, read_rows, require_text


def read_query_table(path: PathLike) -> Iterator[Question]:
    """Queries as `id TAB text`, as Anserini and MS MARCO have them."""
    for number, line in read_lines(path):
        where = Location(path, number)
        if number == 1 and is_header(line.split("\t")):
            continue
        name, tab, text = line.partition("\t")
        if not tab:
            raise where.error("expected an id, a tab and a text", "line", line)
        yield Question(id=name, question=require_text(text, "question", where), location=where)


def read_question_lines(path: PathLike) -> Iterator[Question]:
    """A question on each line; its id is the number of the line, from 0."""
    for number, line in read_lines(path):
        yield Question(id=str(number - 1), question=line.strip(), location=Location(path, number))


def read_triples(path: PathLike) -> Iterator[Question]:
    """ColBERT's text triples: query, positive, negative. The passages have no ids; `isgold` marks the positive one."""
    for number, (line, row) in enumerate(read_rows(path, "\t")):
        where = Location(path, line)
        if len(row) != 3:
            raise where.error(f"expected 3 columns, found {len(row)}", "row", row)
        positive = Passage(id=None, text=row[1], extra={"isgold": True})
        negative = Passage(id=None, text=row[2], extra={"isgold": False})
        text = require_text(row[0], "question", where)
        yield Question(id=str(number), question=text, ctxs=[positive, negative], location=where)


def read_text_file(path: PathLike) -> Iterator[Passage]:
    """A whole text file as one document, such as a NarrativeQA story; the id is the file's name."""
    with checked_input(path) as stream:
        text = read_bounded(stream, path).decode("utf-8-sig")
    if not text.strip():
        raise DataError("contains no text: the file is empty", path=path)
    name = without_gzip(path).rpartition("/")[2]
    yield Passage(id=name, text=text.replace("\r\n", "\n"))


def _is_text_file(head: Head) -> bool:
    """A text file, by its suffix."""
    return bool(head.lines) and head.name.endswith((".content", ".txt", ".md"))


FORMATS = (
    Format(
        "queries-tsv",
        "questions",
        "queries as id, text",
        detect=columns(2, lambda row: not begins_a_list(row[1]), "\t"),
        read=read_query_table,
    ),
    Format(
        "triples",
        "questions",
        "ColBERT's text triples",
        detect=columns(3, lambda row: not begins_a_list(row[1]) and not parse_list_text(row[2]), "\t"),
        read=read_triples,
    ),
    Format(
        "question-lines", "questions", "a question on each line of a text file (needs --from)", read=read_question_lines
    ),
    Format("text", "passages", "a text file as one document", detect=_is_text_file, read=read_text_file),
)
