"""Questions with passages or answers, as other systems write them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fidtools.data.files import PathLike
from fidtools.data.record_parsing import without_quotes
from fidtools.data.records import Location, Question
from fidtools.formats.detection import any_of, keys
from fidtools.formats.format import Format
from fidtools.formats.head import Head
from fidtools.formats.json_records import Record, adapted, distinct, omit, parse_adapted
from fidtools.formats.parsing import read_json_members


def kgi(record: Record) -> Record:
    """KGI's DPR training lines: one positive with negatives, or the positives of a question."""
    positive = record["positive_passages"] if "positive_passages" in record else [record["positive"]]
    rest = omit(record, "positive", "negatives", "positive_passages")
    gold = distinct(str(passage["pid"]) for passage in positive)
    return {**rest, "ctxs": [*positive, *(record.get("negatives") or [])], "gold": gold}


def evouna(record: Record) -> Record:
    """EVOUNA: answers separated by "/"; the systems' answers stay fields (`eval --prediction answer_fid`)."""
    answers = [part for part in record["golden_answer"].split("/") if part]
    return {**omit(record, "golden_answer"), "answers": answers}


def self_rag(record: Record) -> Record:
    """Self-RAG's and ScholarQABench's lines: `input`, `answer`, and the passages under `gold_ctx`."""
    return {**omit(record, "gold_ctx"), "ctxs": record["gold_ctx"]}


def atlas(record: Record) -> Record:
    """Atlas's output: the generated answer, and the passages it was read from."""
    return {**omit(record, "generation"), "prediction": record["generation"]}


def flashrag(record: Record) -> Record:
    """FlashRAG's output: the prediction and the passages under `output`."""
    output = dict(record["output"])
    taken = {"prediction": output.pop("pred", None), "ctxs": output.pop("retrieval_result", None)}
    return {**omit(record, "output"), "output": output, **{k: v for k, v in taken.items() if v is not None}}


def read_pyserini_dpr(path: PathLike) -> Iterator[Question]:
    """Pyserini's DPR-style result: one object, keyed by question id, with `contexts` of `docid`; text is optional."""
    for number, name, record in read_json_members(path):
        where = Location(path, number)
        if not isinstance(record, dict):
            raise where.error("must be an object", name, record)
        yield parse_adapted(partial(_pyserini, name=name), record, where)


def _pyserini(record: Record, name: str) -> Record:
    contexts = [_with_title({"text": "", **context}) for context in record["contexts"]]
    return {**omit(record, "contexts"), "id": name, "ctxs": contexts}


def _with_title(context: Record) -> Record:
    """Stored raw texts are title, line break, text; the text may have line breaks of its own."""
    title, line_break, text = context["text"].partition("\n")
    return (
        {**context, "title": without_quotes(title), "text": text} if line_break and "title" not in context else context
    )


def _has_contexts_by_question(head: Head) -> bool:
    """An object of objects with `contexts` of `docid`."""
    return any(key.endswith(".contexts.item.docid") for key in head.keys)


FORMATS = (
    Format(
        "pyserini-dpr",
        "questions",
        "Pyserini's DPR-style result by question id",
        detect=_has_contexts_by_question,
        read=read_pyserini_dpr,
    ),
    Format(
        "kgi",
        "questions",
        "KGI's DPR training lines",
        detect=any_of(keys("query", "positive.pid"), keys("positive_passages.item.pid")),
        read=adapted(kgi),
    ),
    Format(
        "evouna",
        "questions",
        "EVOUNA: answers of several systems",
        detect=keys("question", "golden_answer"),
        read=adapted(evouna),
    ),
    Format(
        "self-rag",
        "questions",
        "Self-RAG's and ScholarQABench's lines",
        detect=keys("input", "gold_ctx"),
        read=adapted(self_rag),
    ),
    Format(
        "flashrag-output",
        "questions",
        "FlashRAG's output",
        detect=keys("question", "output.pred"),
        read=adapted(flashrag),
    ),
    Format("atlas-output", "questions", "Atlas's output", detect=keys("generation"), read=adapted(atlas)),
)
