"""BEIR's folders and their parts, and the `contents` corpora of Pyserini and FlashRAG."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fidtools.data.distinct_ids import PASSAGE_HINT, DistinctPassages, distinct_questions
from fidtools.data.files import PathLike, atomic_folder, open_output
from fidtools.data.grades import Grades
from fidtools.data.jsonl import read_json, write_lines
from fidtools.data.outputs import FolderKind
from fidtools.data.read import read_passages
from fidtools.data.record_parsing import is_quoted, parse_corpus_passage
from fidtools.data.records import Location, Passage, Question
from fidtools.formats.detection import keys
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.json_records import Record, adapted, document_field, omit
from fidtools.formats.qrels import BEIR_QRELS, judged, qrels_by_question, read_beir_qrels
from fidtools.formats.writer_helpers import MARK, leave_mark, required, write_rows
from fidtools.logs import log

BEIR_IDS = frozenset({"_id", "docid", "passage_id"})  # what is read as an id, before `_id` or as it
TITLE_END = re.compile(r"\r?\n|\t")
FILES = ("queries.jsonl", "corpus.jsonl", "qrels/test.tsv", MARK)
KIND = FolderKind("a BEIR folder by `convert`", FILES, FILES, has_force=False)


def read_beir_queries(path: PathLike) -> Iterator[Question]:
    """BEIR's queries.jsonl: `_id` and `text`."""
    yield from adapted(lambda record: {**omit(record, "text"), "question": record["text"]})(path)


def write_queries(questions: Iterable[Question], path: PathLike) -> None:
    """BEIR's queries.jsonl: `_id`, `text`. Raises DataError for an id that occurs twice."""
    write_lines(path, ({"_id": q.id, "text": q.question} for q in distinct_questions(questions)))


def read_beir_folder(path: PathLike) -> Iterator[Question]:
    """The queries of a BEIR folder. With judgements in qrels/test.tsv, only those it judges, its grades as `gold`.

    The number of the others is reported, and that of judged queries without a text.
    """
    qrels = Path(path) / "qrels" / "test.tsv"
    grades = qrels_by_question(read_beir_qrels(qrels), qrels) if qrels.is_file() else None
    if grades is None and (others := sorted(path.name for path in qrels.parent.glob("*.tsv"))):
        log.warning("%s: no qrels/test.tsv, so no gold (--qrels takes %s)", path, ", ".join(others))
    questions = read_beir_queries(Path(path) / "queries.jsonl")
    yield from _judged_queries(questions, grades, path) if grades else questions


def _judged_queries(questions: Iterable[Question], grades: dict[str, Grades], path: PathLike) -> Iterator[Question]:
    left_out, found = 0, set()
    for question in questions:
        if question.id in grades:
            question.extra["gold"] = grades[question.id]
            found.add(question.id)
            yield question
        else:
            left_out += 1
    if left_out:
        log.info("%s: queries that qrels/test.tsv does not judge, left out: %d", path, left_out)
    if missing := len(grades) - len(found):
        log.warning("%s: queries that qrels/test.tsv judges and queries.jsonl lacks: %d", path, missing)


def write_beir(questions: Iterable[Question], path: PathLike, corpus: Iterable[Passage] | None = None) -> None:
    """A BEIR folder: `queries.jsonl`, `corpus.jsonl`, and `qrels/test.tsv` with the grades of `gold`.

    The corpus is `corpus`, else every passage of `ctxs` once; a search in the latter is easier than in the whole one.
    Raises DataError for a question id that occurs twice, and for a passage id with two titles or texts.
    """
    known = DistinctPassages(f"{PASSAGE_HINT}; if it is that already: --passages CORPUS")
    with atomic_folder(path, KIND) as folder:
        (folder / "qrels").mkdir()
        leave_mark(folder)
        with (
            open_output(folder / "queries.jsonl") as queries,
            open_output(folder / "corpus.jsonl") as documents,
            open_output(folder / "qrels" / "test.tsv") as qrels,
        ):
            write_rows([BEIR_QRELS], qrels)
            for question in distinct_questions(questions):
                queries.line({"_id": question.id, "text": question.question})
                write_rows(((j.question, j.passage, j.grade) for j in judged(question)), qrels)
                for passage in question.ctxs or () if corpus is None else ():
                    required(passage, "id", question)
                    if known.is_new(passage, question):
                        documents.line(beir_document(passage))
            for passage in corpus or ():
                documents.line(beir_document(passage))


def write_beir_corpus(passages: Iterable[Passage], path: PathLike) -> None:
    """BEIR's corpus.jsonl: `_id`, `title`, `text`, and all other fields but BEIR_IDS."""
    write_lines(path, map(beir_document, passages))


def beir_document(passage: Passage) -> Record:
    """A passage as a line of BEIR's corpus.jsonl."""
    rest = omit(passage.extra, *BEIR_IDS)
    return {"_id": passage.id, "title": passage.title, "text": passage.text, **document_field(passage), **rest}


def read_contents(path: PathLike) -> Iterator[Passage]:
    """Pyserini's and FlashRAG's `{"id", "contents"}`: the first tab or line break, if any, ends the title."""
    for number, record in read_json(path):
        where = Location(path, number)
        contents = record.get("contents")
        if not isinstance(contents, str):
            raise where.error("must be a string", "contents", contents)
        yield parse_corpus_passage(record, where)


def write_contents(passages: Iterable[Passage], path: PathLike) -> None:
    """Pyserini's and FlashRAG's `{"id", "contents"}`, a line break between title and text, and all other fields.

    A tab or line break in a title would end it and becomes a space, with a warning. A title in double quotes gets a
    second pair, since readers take off one.
    """
    write_lines(path, _contents_lines(passages))


def _contents_lines(passages: Iterable[Passage]) -> Iterator[Record]:
    changed = 0
    for passage in passages:
        title = TITLE_END.sub(" ", passage.title)
        changed += title != passage.title
        title = f'"{title}"' if is_quoted(title) else title
        rest = omit(passage.extra, "contents")
        yield {"id": passage.id, "contents": f"{title}\n{passage.text}"} | document_field(passage) | rest
    if changed:
        log.warning("titles with a tab or line break, which would end them, written with a space instead: %d", changed)


def _is_corpus(head: Head) -> bool:
    """Lines of `_id` and `text` with a title, which may be null. One without any is detected by its file name."""
    has_title = "title" in head.keys | head.null_keys
    return head.has("_id", "text") and (has_title or head.name == "corpus.jsonl")


def _is_beir_folder(head: Head) -> bool:
    return (head.path / "queries.jsonl").is_file() and (head.path / "corpus.jsonl").is_file()


FORMATS = (
    Format(
        "beir",
        "questions",
        "a BEIR folder: queries with qrels/test.tsv as gold",
        detect=_is_beir_folder,
        read=read_beir_folder,
        write=write_beir,
        fields_kept=frozenset({"id", "question", "gold", "ctxs.id", "ctxs.title", "ctxs.text"}),
    ),
    Format(
        "beir-queries",
        "questions",
        "BEIR's queries.jsonl",
        detect=keys("_id", "text"),  # and not a corpus, which stands before it
        read=read_beir_queries,
        write=write_queries,
        fields_kept=frozenset({"id", "question"}),
    ),
    Format(
        "beir-corpus",
        "passages",
        "BEIR's corpus.jsonl",
        detect=_is_corpus,
        read=read_passages,
        write=write_beir_corpus,
        fields_lost=BEIR_IDS,
    ),
    Format(
        "contents",
        "passages",
        "Pyserini's and FlashRAG's corpus",
        detect=keys("id", "contents"),
        read=read_contents,
        write=write_contents,
        fields_lost=frozenset({"contents"}),
    ),
)
