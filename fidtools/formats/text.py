"""Questions, answers and documents in tables and plain lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fidtools.data.files import PathLike
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError
from fidtools.formats import parsing as sources


def read_fid_output(path: PathLike) -> Iterator[Question]:
    """FiD's final_output.txt: `id TAB answer`, nothing escaped, so that an answer may hold tabs. No question text."""
    for number, line in sources.lines(path):
        name, tab, answer = line.partition("\t")
        if not tab:
            raise Location(path, number).error("expected an id, a tab and an answer", "line", line)
        yield Question(id=name, question="", prediction=answer)


def read_dpr_qa(path: PathLike) -> Iterator[Question]:
    """DPR's question file: question and a Python list of answers, tab-separated with CSV quoting, no header."""
    for number, row in sources.rows(path, "\t"):
        where = Location(path, number)
        if len(row) != 2:
            raise where.error(f"expected 2 columns, found {len(row)}", "row", row)
        yield Question(id=str(number - 1), question=_text(row[0], where), answers=_answers(row[1], where))


def _answers(cell: str, where: Location) -> list[str]:
    try:
        answers = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise where.error("must be a list of texts as Python writes it", "answers", cell) from error
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise where.error("must be a list of texts", "answers", cell)
    return answers


def _text(cell: str, where: Location) -> str:
    if not cell.strip():
        raise where.error("must be a text that is not empty", "question", cell)
    return cell


def read_query_table(path: PathLike) -> Iterator[Question]:
    """Queries as `id TAB text`, as Anserini and MS MARCO have them."""
    for number, line in sources.lines(path):
        where = Location(path, number)
        name, tab, text = line.partition("\t")
        if not tab:
            raise where.error("expected an id, a tab and a text", "line", line)
        yield Question(id=name, question=_text(text, where))


def read_triples(path: PathLike) -> Iterator[Question]:
    """ColBERT's text triples: query, positive, negative. The two passages have no ids; the first one is flagged."""
    for number, row in sources.rows(path, "\t"):
        where = Location(path, number)
        if len(row) != 3:
            raise where.error(f"expected 3 columns, found {len(row)}", "row", row)
        positive = Passage(id=None, text=row[1], extra={"isgold": True})
        negative = Passage(id=None, text=row[2], extra={"isgold": False})
        yield Question(id=str(number - 1), question=_text(row[0], where), ctxs=[positive, negative])


QAPS = ("document_id", "set", "question", "answer1", "answer2")
DOCUMENTS = ("document_id", "set", "kind", "story_url", "wiki_title")
SUMMARIES = ("document_id", "set", "summary")


def read_narrativeqa(path: PathLike) -> Iterator[Question]:
    """NarrativeQA's qaps.csv: two answers each; `doc_id` is the story, `set` train, valid or test."""
    position: dict[str, int] = {}
    for number, row in sources.records(path, ",", QAPS):
        story = row.pop("document_id")
        position[story] = position.get(story, -1) + 1
        question = _text(row.pop("question"), Location(path, number))
        answers = [row.pop("answer1"), row.pop("answer2")]
        name = f"{story}-{position[story]}"
        yield Question(id=name, question=question, answers=answers, doc_id=story, extra=dict(row))


def read_narrativeqa_summaries(path: PathLike) -> Iterator[Passage]:
    """NarrativeQA's summaries.csv as documents, for `fidtools chunk`."""
    for _, row in sources.records(path, ",", SUMMARIES):
        story = row.pop("document_id")
        yield Passage(id=story, text=row.pop("summary"), doc_id=story, extra=dict(row))


def read_narrativeqa_documents(path: PathLike) -> Iterator[Passage]:
    """NarrativeQA's documents.csv: what is known of each story; the text is elsewhere and stays empty."""
    for _, row in sources.records(path, ",", DOCUMENTS):
        story = row.pop("document_id")
        yield Passage(id=story, text="", title=row.pop("wiki_title"), doc_id=story, extra=dict(row))


def read_plain_text(path: PathLike) -> Iterator[Passage]:
    """A whole text file as one document, such as a NarrativeQA story; the id is the file's name."""
    with sources.opened(path) as stream:
        text = stream.read().decode("utf-8-sig")
    if not text.strip():
        raise DataError("no text in it: the file is empty", path=path)
    name = str(path).rpartition("/")[2].removesuffix(".gz")
    yield Passage(id=name, text=text.replace("\r\n", "\n"))
