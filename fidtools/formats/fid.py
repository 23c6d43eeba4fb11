"""fidtools' own JSON lines, and the files of Fusion-in-Decoder, whose field names they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fidtools.data.files import PathLike, open_output
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_passages, read_questions
from fidtools.data.records import Location, Passage, Question
from fidtools.formats.detection import any_of, keys, without_keys
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.parsing import read_lines
from fidtools.formats.writer_helpers import write_json_list


def write_jsonl(records: Iterable[Question | Passage], path: PathLike) -> None:
    """fidtools' own lines; nothing is lost."""
    write_lines(path, (record.to_json() for record in records))


def write_fid(questions: Iterable[Question], path: PathLike) -> None:
    """FiD's data and dataset_wscores.json: one JSON list; nothing is lost."""
    write_json_list((question.to_json() for question in questions), path)


def read_fid_output(path: PathLike) -> Iterator[Question]:
    """FiD's final_output.txt: `id TAB answer`, nothing escaped, so that an answer may hold tabs. No question text."""
    for number, line in read_lines(path):
        where = Location(path, number)
        name, tab, answer = line.partition("\t")
        if not tab:
            raise where.error("expected an id, a tab and an answer", "line", line)
        yield Question(id=name, question="", prediction=answer, location=where)


def write_fid_output(questions: Iterable[Question], path: PathLike) -> None:
    """FiD's final_output.txt. Raises DataError for a missing prediction, a line break, and an id with a tab."""
    with open_output(path) as out:
        for question in questions:
            if question.prediction is None:
                raise question.error(f"missing in question {question.id}", "prediction", hint="fidtools read adds it")
            if "\t" in question.id:
                raise question.error("must not contain a tab in this format", "id", question.id)
            for name, text in (("id", question.id), ("prediction", question.prediction)):
                if "\n" in text or "\r" in text:
                    raise question.error("must not contain a line break in this format", name, text)
            out.write(f"{question.id}\t{question.prediction}\n".encode())


def _is_fid_output(head: Head) -> bool:
    """A .txt file of ids and answers."""
    rows = [] if head.start else [line.split("\t") for line in head.lines]
    return bool(rows) and head.name.endswith(".txt") and all(len(row) >= 2 and row[0].split() for row in rows)


def _is_json_list_of_questions(head: Head) -> bool:
    return head.start == "[" and head.has("question")


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
)
