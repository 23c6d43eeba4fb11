"""Questions, passages and judgements as other systems want them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import orjson

from fidtools.data.files import Output, PathLike, open_output
from fidtools.data.jsonl import write_lines
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError
from fidtools.formats.trec import Judgement
from fidtools.logs import log
from fidtools.metrics.answer_match import AnswerMatcher


def write_jsonl(records: Iterable[Question | Passage], path: PathLike) -> None:
    """fidtools' own lines; nothing is lost."""
    write_lines(path, (record.to_json() for record in records))


def _write_list(values: Iterable[Any], path: PathLike) -> None:
    """One JSON list, indented as FiD and DPR do, written one element at a time."""
    with open_output(path) as out:
        before = b"["
        for value in values:
            out.write(before + b"\n" + orjson.dumps(value, option=orjson.OPT_INDENT_2))
            before = b","
        out.write((b"[" if before == b"[" else b"") + b"\n]\n")


def write_fid(questions: Iterable[Question], path: PathLike) -> None:
    """FiD's data and dataset_wscores.json: one JSON list; nothing is lost."""
    _write_list((question.to_json() for question in questions), path)


def write_dpr(questions: Iterable[Question], path: PathLike) -> None:
    """DPR's retriever results: scores as texts, `has_answer` (judged by the answer match) on every passage."""
    _write_list(map(_dpr, questions), path)


def _dpr(question: Question) -> dict[str, Any]:
    passages = question.ctxs or []
    hits = AnswerMatcher(question.answers or ()).hits([passage.text for passage in passages])
    ctxs = [_dpr_passage(p, hit) for p, hit in zip(passages, hits, strict=True)]
    return {**question.to_json(), "answers": question.answers or [], "ctxs": ctxs}


def _dpr_passage(passage: Passage, hit: bool) -> dict[str, Any]:
    rest = {name: value for name, value in passage.extra.items() if name not in ("hasanswer", "has_answer")}
    scores = {} if passage.score is None else {"score": repr(passage.score)}
    names = {"scores": passage.scores} if passage.scores else {}
    document = {} if passage.doc_id is None else {"doc_id": passage.doc_id}
    return {"id": passage.id, "title": passage.title, "text": passage.text, **document, **scores, **names} | {
        "has_answer": hit,
        **rest,
    }


def write_fid_output(questions: Iterable[Question], path: PathLike) -> None:
    """FiD's final_output.txt: `id TAB answer`. Raises DataError for an answer with a line break."""
    with open_output(path) as out:
        for question in questions:
            if question.prediction is None:
                raise DataError("missing", field="prediction", value=question.id, hint="fidtools read adds it")
            out.write(f"{_flat(question.id, 'id')}\t{_flat(question.prediction, 'prediction')}\n".encode())


def _flat(text: str, name: str) -> str:
    if "\n" in text or "\r" in text:
        raise DataError("must not hold a line break in this format", field=name, value=text)
    return text


def write_run(questions: Iterable[Question], path: PathLike) -> None:
    """A TREC run: `qid Q0 docid rank score tag`, by falling score; the tag is the question's `tag`, or ours.

    Raises DataError for a missing id or score.
    """
    with open_output(path) as out:
        for question, rank, passage in _ranked(questions):
            tag = _word(str(question.extra.get("tag", "fidtools")), "tag")
            out.write(f"{question.id} Q0 {passage.id} {rank} {passage.score!r} {tag}\n".encode())


def write_tevatron_run(questions: Iterable[Question], path: PathLike) -> None:
    """Tevatron's run: `qid TAB docid TAB score`."""
    with open_output(path) as out:
        for question, _, passage in _ranked(questions):
            out.write(f"{question.id}\t{passage.id}\t{passage.score!r}\n".encode())


def _ranked(questions: Iterable[Question]) -> Iterator[tuple[Question, int, Passage]]:
    for question in questions:
        _word(question.id, "id")
        for passage in question.ctxs or []:
            _required(passage, "score", question)
            _word(_required(passage, "id", question), "ctxs.id")
        question.sort_ctxs()
        yield from ((question, rank, passage) for rank, passage in enumerate(question.ctxs or [], 1))


def _word(text: str, name: str) -> str:
    if not text or len(text.split()) != 1 or text != text.strip():
        raise DataError("must be one word in this format", field=name, value=text)
    return text


def _required(passage: Passage, name: str, question: Question) -> Any:
    value = getattr(passage, name)
    if value is None:
        raise DataError(f"missing in question {question.id}", field=f"ctxs.{name}")
    return value


def write_tevatron(questions: Iterable[Question], path: PathLike) -> None:
    """Tevatron's training lines, a score on every passage for its distillation.

    Positive are the passages that `gold` names; without `gold` the one with the highest score. Questions whose gold
    passages are not among their passages are left out and counted aloud: Tevatron's training stops at them.
    """
    write_lines(path, _with_positive(map(_tevatron, questions)))


def _with_positive(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    without = 0
    for line in lines:
        if line["positive_passages"]:
            yield line
        else:
            without += 1
    if without:
        log.warning("%d questions without a gold passage among their passages were left out", without)


def _tevatron(question: Question) -> dict[str, Any]:
    passages = question.ctxs or []
    for passage in passages:
        _required(passage, "id", question)
    gold = question.extra.get("gold")
    wanted = {str(name) for name in gold} if isinstance(gold, list) else {p.id for p in _best(passages, question)}
    sides: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for passage in passages:
        document = {"docid": passage.id, "title": passage.title, "text": passage.text}
        score = {} if passage.score is None else {"score": passage.score}
        sides[passage.id in wanted].append({**document, **score})
    head = {"query_id": question.id, "query": question.question}
    answers = {} if question.answers is None else {"answers": question.answers}
    return {**head, **answers, "positive_passages": sides[True], "negative_passages": sides[False]}


def _best(passages: Sequence[Passage], question: Question) -> Sequence[Passage]:
    scored = sorted(passages, key=lambda passage: -float(_required(passage, "score", question)))
    return scored[:1]


def write_queries(questions: Iterable[Question], path: PathLike) -> None:
    """BEIR's queries.jsonl: `_id`, `text`."""
    write_lines(path, ({"_id": question.id, "text": question.question} for question in questions))


def write_beir_corpus(passages: Iterable[Passage], path: PathLike) -> None:
    """BEIR's corpus.jsonl: `_id`, `title`, `text`, and what else there is."""
    write_lines(path, map(beir_document, passages))


def beir_document(passage: Passage) -> dict[str, Any]:
    """A passage as BEIR has it."""
    document = {} if passage.doc_id is None else {"doc_id": passage.doc_id}
    return {"_id": passage.id, "title": passage.title, "text": passage.text, **document, **passage.extra}


def write_contents(passages: Iterable[Passage], path: PathLike) -> None:
    """Pyserini's and FlashRAG's `{"id", "contents"}`, title and text parted by a line break."""
    write_lines(path, ({"id": p.id, "contents": f"{p.title}\n{p.text}"} | p.extra for p in passages))


def write_psgs(passages: Iterable[Passage], path: PathLike) -> None:
    """DPR's psgs_w100.tsv: `id text title` under a header, tab-separated with CSV quoting."""
    rows = chain([("id", "text", "title")], ((p.id, p.text, p.title) for p in passages))
    with open_output(path) as out:
        _write_rows(rows, out)


def _write_rows(rows: Iterable[Sequence[Any]], out: Output) -> None:
    for row in rows:
        text = io.StringIO()
        csv.writer(text, delimiter="\t", lineterminator="\n").writerow(row)
        out.write(text.getvalue().encode())


def write_qrels(judgements: Iterable[Judgement], path: PathLike) -> None:
    """TREC's qrels: `qid 0 docid grade`."""
    with open_output(path) as out:
        for j in judgements:
            out.write(f"{_word(j.question, 'qid')} 0 {_word(j.passage, 'docid')} {j.grade}\n".encode())


def write_beir_qrels(judgements: Iterable[Judgement], path: PathLike) -> None:
    """BEIR's qrels: `query-id corpus-id score` under a header."""
    with open_output(path) as out:
        _write_rows(
            chain([("query-id", "corpus-id", "score")], ((j.question, j.passage, j.grade) for j in judgements)), out
        )
