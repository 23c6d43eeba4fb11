"""fidtools' own JSON lines, and the files of Fusion-in-Decoder and Dense Passage Retrieval that they come from."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from fidtools.data.dpr_tsv import read_passage_table
from fidtools.data.files import PathLike, open_output
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_passages, read_questions
from fidtools.data.records import Location, Passage, Question
from fidtools.formats.detection import any_of, columns, header, keys, without_keys
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.json_records import Record, adapted, omit
from fidtools.formats.parsing import read_lines, read_rows, require_text
from fidtools.formats.writing import write_json_list, write_rows
from fidtools.metrics.answer_match import AnswerMatcher


def write_jsonl(records: Iterable[Question | Passage], path: PathLike) -> None:
    """fidtools' own lines; nothing is lost."""
    write_lines(path, (record.to_json() for record in records))


def write_fid(questions: Iterable[Question], path: PathLike) -> None:
    """FiD's data and dataset_wscores.json: one JSON list; nothing is lost."""
    write_json_list((question.to_json() for question in questions), path)


def write_dpr(questions: Iterable[Question], path: PathLike) -> None:
    """DPR's retriever results: scores as strings, `has_answer` (from the answer match) on every passage."""
    write_json_list(map(_dpr_question, questions), path)


def _dpr_question(question: Question) -> Record:
    passages = question.ctxs or []
    hits = AnswerMatcher(question.answers or ()).hits([passage.text for passage in passages])
    ctxs = [_dpr_passage(passage, hit) for passage, hit in zip(passages, hits, strict=True)]
    return {**question.to_json(), "answers": question.answers or [], "ctxs": ctxs}


def _dpr_passage(passage: Passage, hit: bool) -> Record:
    rest = omit(passage.extra, "hasanswer", "has_answer")
    score = {} if passage.score is None else {"score": repr(passage.score)}
    scores = {"scores": passage.scores} if passage.scores else {}
    document = {} if passage.doc_id is None else {"doc_id": passage.doc_id}
    head = {"id": passage.id, "title": passage.title, "text": passage.text}
    return {**head, **document, **score, **scores, "has_answer": hit, **rest}


def dpr_train(record: Record) -> Record:
    """DPR's training JSON: positives first, then hard and other negatives; `gold` lists the positives' ids."""
    positive, hard, other = (record.get(f"{kind}_ctxs") or [] for kind in ("positive", "hard_negative", "negative"))
    ctxs = [_passage_of_dpr(ctx) for ctx in (*positive, *hard, *other)]
    rest = omit(record, "positive_ctxs", "hard_negative_ctxs", "negative_ctxs")
    return {**rest, "ctxs": ctxs, "gold": [c["id"] for c in ctxs[: len(positive)] if "id" in c]}


def _passage_of_dpr(ctx: Record) -> Record:
    name = next((name for name in ("passage_id", "psg_id", "id") if ctx.get(name) is not None), None)
    return ctx if name is None else {**omit(ctx, name), "id": str(ctx[name])}


def read_dpr_qa(path: PathLike) -> Iterator[Question]:
    """DPR's question file: question and a Python list of answers, tab-separated with CSV quoting, no header."""
    for number, row in read_rows(path, "\t"):
        where = Location(path, number)
        if len(row) != 2:
            raise where.error(f"expected 2 columns, found {len(row)}", "row", row)
        text, answers = require_text(row[0], "question", where), _answers(row[1], where)
        yield Question(id=str(number - 1), question=text, answers=answers, location=where)


def _answers(cell: str, where: Location) -> list[str]:
    try:
        answers = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise where.error("must be a list of strings in Python syntax", "answers", cell) from error
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise where.error("must be a list of strings", "answers", cell)
    return answers


def read_fid_output(path: PathLike) -> Iterator[Question]:
    """FiD's final_output.txt: `id TAB answer`, nothing escaped, so that an answer may hold tabs. No question text."""
    for number, line in read_lines(path):
        where = Location(path, number)
        name, tab, answer = line.partition("\t")
        if not tab:
            raise where.error("expected an id, a tab and an answer", "line", line)
        yield Question(id=name, question="", prediction=answer, location=where)


def write_fid_output(questions: Iterable[Question], path: PathLike) -> None:
    """FiD's final_output.txt. Raises DataError for a missing prediction, and for an answer with a line break."""
    with open_output(path) as out:
        for question in questions:
            if question.prediction is None:
                raise question.error(f"missing in question {question.id}", "prediction", hint="fidtools read adds it")
            for name, text in (("id", question.id), ("prediction", question.prediction)):
                if "\n" in text or "\r" in text:
                    raise question.error("must not contain a line break in this format", name, text)
            out.write(f"{question.id}\t{question.prediction}\n".encode())


def write_psgs(passages: Iterable[Passage], path: PathLike) -> None:
    """DPR's psgs_w100.tsv: `id text title` under a header, tab-separated with CSV quoting."""
    rows: Iterable[tuple[Any, ...]] = ((p.id, p.text, p.title) for p in passages)
    with open_output(path) as out:
        write_rows(chain([("id", "text", "title")], rows), out)


def _is_fid_output(head: Head) -> bool:
    """A .txt file of ids and answers."""
    rows = [] if head.start else head.columns()
    return bool(rows) and head.name.endswith(".txt") and all(len(row) >= 2 and row[0].split() for row in rows)


def _is_json_list_of_questions(head: Head) -> bool:
    return head.start == "[" and head.has("question")


def _is_passage_row(row: list[str]) -> bool:
    """A row of psgs_w100.tsv without its header: a number and a text of several words."""
    return row[0].isdigit() and " " in row[1]


FORMATS = (
    Format(
        "jsonl",
        "questions",
        "fidtools' own lines: questions",
        detect=any_of(keys("question"), keys("query"), keys("claim")),
        read=read_questions,
        write=write_jsonl,
    ),
    Format(
        "passages",
        "passages",
        "fidtools' own lines: passages",
        detect=keys("id", "text"),
        read=read_passages,
        write=write_jsonl,
    ),
    Format(
        "fid",
        "questions",
        "FiD's data and dataset_wscores.json",
        detect=any_of(
            keys("question", "ctxs.item.hasanswer"), keys("question", "context.item.text"), _is_json_list_of_questions
        ),
        read=read_questions,
        write=write_fid,
    ),
    Format(
        "fid-output",
        "questions",
        "FiD's final_output.txt: id, answer",
        detect=_is_fid_output,
        read=read_fid_output,
        write=write_fid_output,
        fields_kept=frozenset({"id", "prediction"}),
    ),
    Format(
        "nq-open",
        "questions",
        "NQ-open: question and `answer`",
        detect=without_keys(keys("question", "answer"), "id", "ctxs", "prediction"),
        read=read_questions,
    ),
    Format(
        "dpr",
        "questions",
        "DPR's retriever results",
        detect=keys("question", "ctxs.item.has_answer"),
        read=read_questions,
        write=write_dpr,
    ),
    Format(
        "dpr-train",
        "questions",
        "DPR's training JSON",
        detect=keys("question", "positive_ctxs"),
        read=adapted(dpr_train),
    ),
    Format(
        "dpr-qa",
        "questions",
        "DPR's question file: question, list of answers",
        detect=columns(2, lambda row: row[1].lstrip('" ').startswith("["), "\t"),
        read=read_dpr_qa,
    ),
    Format(
        "psgs",
        "passages",
        "DPR's psgs_w100.tsv: id, text, title",
        detect=any_of(header("id", "text", "title", separator="\t"), columns(3, _is_passage_row, "\t")),
        read=read_passage_table,
        write=write_psgs,
        fields_kept=frozenset({"id", "title", "text"}),
    ),
)
