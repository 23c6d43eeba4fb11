"""Questions in other systems' JSON, brought into the form of `records`. Fields without a place of ours are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fidtools.data.files import PathLike
from fidtools.data.jsonl import read_json
from fidtools.data.record_parsing import parse_question
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError
from fidtools.formats import parsing as sources
from fidtools.formats.trec import qrels_by_question, read_beir_qrels

Record = dict[str, Any]
Adapt = Callable[[Record], Record]
UNTOLD = "(not told)"


def adapted(adapt: Adapt) -> Callable[[PathLike], Iterator[Question]]:
    """A reader of JSON lines (or a list) whose records `adapt` brings into our form."""

    def read(path: PathLike) -> Iterator[Question]:
        for number, record in read_json(path):
            yield question(adapt, record, Location(path, number))

    return read


def question(adapt: Adapt, record: Record, where: Location) -> Question:
    """One record as a Question. Raises DataError where it has not the form that the format promises."""
    try:
        ours = adapt(record)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = f"not in the form of this format: {type(error).__name__} {error}"
        raise DataError(problem, path=where.path, line=where.line, value=record, hint="name it with --from") from error
    return parse_question(ours, where)


def _without(record: Record, *names: str) -> Record:
    return {name: value for name, value in record.items() if name not in names}


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def dpr_train(record: Record) -> Record:
    """DPR's training JSON: positives first, then hard and other negatives; `gold` names the positives."""
    positive, hard, other = (record.get(f"{kind}_ctxs") or [] for kind in ("positive", "hard_negative", "negative"))
    ctxs = [_passage_of_dpr(ctx) for ctx in (*positive, *hard, *other)]
    rest = _without(record, "positive_ctxs", "hard_negative_ctxs", "negative_ctxs")
    return {**rest, "ctxs": ctxs, "gold": [c["id"] for c in ctxs[: len(positive)] if "id" in c]}


def _passage_of_dpr(ctx: Record) -> Record:
    name = next((name for name in ("passage_id", "psg_id", "id") if ctx.get(name) is not None), None)
    return ctx if name is None else {**_without(ctx, name), "id": str(ctx[name])}


def tevatron(record: Record) -> Record:
    """Tevatron's training lines: passages with `docid`, the positive ones first and named by `gold`."""
    positive, negative = record["positive_passages"], record["negative_passages"]
    rest = _without(record, "query_id", "positive_passages", "negative_passages")
    gold = [str(passage["docid"]) for passage in positive]
    return {**rest, "id": record["query_id"], "ctxs": [*positive, *negative], "gold": gold}


def tevatron_ids(record: Record) -> Record:
    """Tevatron 2's training lines, which name documents without their text."""
    rest = _without(record, "query_id", "query_text", "positive_document_ids", "negative_document_ids")
    gold, other = record["positive_document_ids"], record.get("negative_document_ids") or []
    ctxs = [{"id": str(name), "text": ""} for name in (*gold, *other)]
    return {**rest, "id": record["query_id"], "question": record["query_text"], "ctxs": ctxs, "gold": [*map(str, gold)]}


def kgi(record: Record) -> Record:
    """KGI's DPR training lines: one positive with negatives, or the positives of a question."""
    positive = record["positive_passages"] if "positive_passages" in record else [record["positive"]]
    rest = _without(record, "positive", "negatives", "positive_passages")
    return {
        **rest,
        "ctxs": [*positive, *(record.get("negatives") or [])],
        "gold": _distinct(str(passage["pid"]) for passage in positive),
    }


def kilt(record: Record) -> Record:
    """A KILT task: answers and gold pages (`gold`, Wikipedia ids) of all outputs, which stay under `output`."""
    outputs = record.get("output") or []
    answers = _distinct(answer.strip() for o in outputs if (answer := o.get("answer")) and answer.strip())
    pages = _distinct(str(p["wikipedia_id"]) for o in outputs for p in o.get("provenance") or [])
    labels = ({"answers": answers} if answers else {}) | ({"gold": pages} if pages else {})
    return {**_without(record, "input"), "question": record.get("input", UNTOLD), **labels}


def read_kilt(path: PathLike) -> Iterator[Question]:
    """The questions of a KILT task; a file of labels alone has no `input`, then the question is empty."""
    for found in adapted(kilt)(path):
        found.question = "" if found.question == UNTOLD else found.question
        yield found


def read_kilt_guess(path: PathLike) -> Iterator[Question]:
    """What a system answers on a KILT task: one output with its answer, and its pages as passages without text."""
    for number, record in read_json(path):
        where = Location(path, number)
        outputs = record.get("output")
        if not (isinstance(outputs, list) and len(outputs) == 1 and isinstance(outputs[0], dict)):
            raise where.error("a guess has exactly one output", "output", outputs)
        answer = outputs[0].get("answer")
        pages = [(str(p.get("wikipedia_id", "")), p) for p in outputs[0].get("provenance") or [] if isinstance(p, dict)]
        yield Question(
            id=str(record.get("id", number - 1)),
            question=str(record.get("input", "")),
            prediction=None if answer is None else str(answer).strip(),
            ctxs=[Passage(id=name, text="", title=str(page.get("title", ""))) for name, page in pages if name],
        )


def fever(record: Record) -> Record:
    """A FEVER or HoVer claim: the label as the answer, `gold` the pages of the evidence."""
    evidence = record.get("evidence") or []
    pages = _distinct(page for group in evidence for _, _, page, _ in group if page is not None)
    return _claim(record, pages)


def hover(record: Record) -> Record:
    """A HoVer claim, whose supporting facts are [title, sentence]."""
    ours = _claim(record, _distinct(title for title, _ in record["supporting_facts"]))
    return {**_without(ours, "uid"), "id": record["uid"]}


def _claim(record: Record, pages: list[Any]) -> Record:
    label = record.get("label")
    return record | ({"answers": [label]} if label else {}) | ({"gold": pages} if pages else {})


def qed(record: Record) -> Record:
    """QED: a Natural Question with the paragraph that answers it, as its one passage; the spans are kept."""
    answers = _distinct(span["string"] for spans in record["original_nq_answers"] for span in spans)
    passage = {"title": record["title_text"], "text": record["paragraph_text"]}
    rest = _without(record, "example_id", "question_text", "title_text", "paragraph_text")
    return {
        **rest,
        "id": record["example_id"],
        "question": record["question_text"],
        "answers": answers,
        "ctxs": [passage],
    }


def evouna(record: Record) -> Record:
    """EVOUNA: answers parted by "/"; the systems' answers stay fields (`eval --prediction answer_fid`)."""
    answers = [part for part in record["golden_answer"].split("/") if part]
    return {**_without(record, "golden_answer"), "answers": answers}


def self_rag(record: Record) -> Record:
    """Self-RAG's and ScholarQABench's lines: `input`, `answer`, and the passages under `gold_ctx`."""
    return {**_without(record, "gold_ctx"), "ctxs": record["gold_ctx"]}


def atlas(record: Record) -> Record:
    """What Atlas writes: the answer it generated, and the passages it read."""
    return {**_without(record, "generation"), "prediction": record["generation"]}


def flashrag(record: Record) -> Record:
    """What FlashRAG writes: the prediction and the passages under `output`."""
    output = dict(record["output"])
    taken = {"prediction": output.pop("pred", None), "ctxs": output.pop("retrieval_result", None)}
    return {**_without(record, "output"), "output": output, **{k: v for k, v in taken.items() if v is not None}}


def triviaqa(record: Record) -> Record:
    """A TriviaQA question: `answers` are the aliases, `target` the value, as FiD takes them; `Answer` is kept."""
    answer = record.get("Answer")
    ours = {**_without(record, "Question", "QuestionId"), "id": record["QuestionId"], "question": record["Question"]}
    if answer is None:
        return ours
    value = answer["Value"]
    return {**ours, "answers": answer["Aliases"], "target": value.title() if value.isupper() else value}


def read_triviaqa(path: PathLike) -> Iterator[Question]:
    """The questions of a TriviaQA document (`{"Data": […], …}`), one at a time."""
    for number, record in sources.items(path, "Data.item"):
        where = Location(path, number)
        if not isinstance(record, dict):
            raise where.error("must be an object", "Data", record)
        yield question(triviaqa, record, where)


def read_pyserini_dpr(path: PathLike) -> Iterator[Question]:
    """Pyserini's DPR-style result: one object, keyed by question id, with `contexts` of `docid`; text is optional."""
    for number, name, record in sources.members(path):
        where = Location(path, number)
        if not isinstance(record, dict):
            raise where.error("must be an object", name, record)
        yield question(lambda r, name=name: _pyserini(r, name), record, where)  # type: ignore[misc]


def _pyserini(record: Record, name: str) -> Record:
    contexts = [_titled({"text": "", **context}) for context in record["contexts"]]
    return {**_without(record, "contexts"), "id": name, "ctxs": contexts}


def _titled(context: Record) -> Record:
    """Stored raw texts are title, line break, text; the text may have line breaks of its own."""
    title, line_break, text = context["text"].partition("\n")
    return {**context, "title": title.strip('"'), "text": text} if line_break and "title" not in context else context


def read_squad(path: PathLike) -> Iterator[Question]:
    """SQuAD 1.1 and 2.0: every question with its distinct answers; `spans` are all of them with their places, `gold`
    is the paragraph's id.
    """
    for where, name, title, paragraph in _squad_paragraphs(path):
        for qa in paragraph.get("qas") or []:
            yield question(lambda r, n=name, t=title: _squad(r, n, t), qa, where)  # type: ignore[misc]


def _squad(record: Record, paragraph: str, title: str) -> Record:
    spans = record.get("answers") or []
    answers = _distinct(span["text"] for span in spans)
    return {**record, "answers": answers, "spans": spans, "gold": [paragraph], "title": title}


def read_squad_paragraphs(path: PathLike) -> Iterator[Passage]:
    """The paragraphs of SQuAD as passages; the id says article and paragraph, both from 0 ("0-12")."""
    for where, name, title, paragraph in _squad_paragraphs(path):
        text = paragraph.get("context")
        if not isinstance(text, str):
            raise where.error("missing", "context", text)
        yield Passage(id=name, title=title.replace("_", " "), text=text)


def _squad_paragraphs(path: PathLike) -> Iterator[tuple[Location, str, str, Record]]:
    for number, article in sources.items(path, "data.item"):
        where = Location(path, number)
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list) or not all(isinstance(p, dict) for p in paragraphs):
            raise where.error("must be a list of objects", "paragraphs", paragraphs)
        for position, paragraph in enumerate(paragraphs):
            yield where, f"{number - 1}-{position}", str(article.get("title", "")), paragraph


def read_beir_queries(path: PathLike) -> Iterator[Question]:
    """BEIR's queries.jsonl: `_id` and `text`."""
    yield from adapted(lambda record: {**_without(record, "text"), "question": record["text"]})(path)


def read_beir_folder(path: PathLike) -> Iterator[Question]:
    """The queries of a BEIR folder; with qrels/test.tsv those that it judges, its grades as `gold`."""
    judged = Path(path) / "qrels" / "test.tsv"
    grades = qrels_by_question(read_beir_qrels(judged), judged) if judged.is_file() else None
    for found in read_beir_queries(Path(path) / "queries.jsonl"):
        if grades is None:
            yield found
        elif found.id in grades:
            found.extra["gold"] = grades[found.id]
            yield found
