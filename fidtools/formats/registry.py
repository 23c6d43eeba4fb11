"""The table of formats: what each is, how it is told, read and written, and what writing it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from fidtools.data.dpr_tsv import read_passage_table
from fidtools.data.files import PathLike
from fidtools.data.read import read_passages, read_questions
from fidtools.data.records import Question
from fidtools.formats import corpora, questions, text, trec, writers
from fidtools.formats import distillation as students
from fidtools.formats import embedding_files as vectors
from fidtools.formats import triviaqa_archive as archives
from fidtools.formats.detection import (
    Sign,
    beir_folder,
    claim_only,
    either,
    faiss_folder,
    fid_output,
    header,
    keyed_contexts,
    keys,
    listed_questions,
    number,
    numbered_text,
    pickled,
    prose,
    rank,
    suffix,
    table,
    trec_eval,
    without,
)
from fidtools.formats.questions import adapted

Holds = Literal["questions", "passages", "qrels", "embeddings", "measures"]
EVERYTHING = frozenset({"*"})
RUN = frozenset({"id", "ctxs.id", "ctxs.score"})
DISTILLED = frozenset({"id", "question", "ctxs.id", "ctxs.title", "ctxs.text", "ctxs.score"})


@dataclass(frozen=True)
class Format:
    """One format. `told` says from a file's head whether it is this one; `keeps` are the fields that `write` keeps."""

    name: str
    holds: Holds
    about: str
    told: Sign | None = None
    read: Callable[[PathLike], Iterator[Any]] | None = None
    write: Callable[[Iterable[Any], PathLike], None] | None = None
    keeps: frozenset[str] = EVERYTHING


def _q(name: str, about: str, told: Sign | None, read: Callable[[PathLike], Iterator[Question]], **rest: Any) -> Format:
    return Format(name, "questions", about, told, read, **rest)


QUESTIONS = (
    _q(
        "beir",
        "a BEIR folder: queries with qrels/test.tsv as gold",
        beir_folder,
        questions.read_beir_folder,
        write=students.write_beir,
        keeps=frozenset({"id", "question", "gold", "ctxs.id", "ctxs.title", "ctxs.text"}),
    ),
    _q("triviaqa-archive", "TriviaQA's RC archive", suffix(".tgz", ".tar.gz", ".tar"), archives.read_triviaqa_archive),
    _q("triviaqa", "TriviaQA, filtered or not", keys("Data.item.Question"), questions.read_triviaqa),
    _q("squad", "SQuAD 1.1 or 2.0", keys("data.item.paragraphs.item.context"), questions.read_squad),
    _q("pyserini-dpr", "Pyserini's DPR-style result by question id", keyed_contexts, questions.read_pyserini_dpr),
    _q("dpr-train", "DPR's training JSON", keys("question", "positive_ctxs"), adapted(questions.dpr_train)),
    _q(
        "tevatron",
        "Tevatron's training lines",
        either(keys("query_id", "positive_passages.item.docid"), keys("query_id", "negative_passages.item.docid")),
        adapted(questions.tevatron),
        write=writers.write_tevatron,
        keeps=DISTILLED | {"answers", "gold"},
    ),
    _q(
        "tevatron-ids",
        "Tevatron 2's training lines without text",
        keys("query_id", "positive_document_ids"),
        adapted(questions.tevatron_ids),
    ),
    _q(
        "kgi",
        "KGI's DPR training lines",
        either(keys("query", "positive.pid"), keys("positive_passages.item.pid")),
        adapted(questions.kgi),
    ),
    _q("hover", "HoVer claims", keys("claim", "supporting_facts"), adapted(questions.hover)),
    _q(
        "fever",
        "FEVER claims",
        either(keys("claim", "evidence.item.item.item"), claim_only),
        adapted(questions.fever),
    ),
    _q(
        "qed",
        "QED: Natural Questions with their paragraph",
        keys("question_text", "paragraph_text"),
        adapted(questions.qed),
    ),
    _q("evouna", "EVOUNA: answers of several systems", keys("question", "golden_answer"), adapted(questions.evouna)),
    _q("self-rag", "Self-RAG's and ScholarQABench's lines", keys("input", "gold_ctx"), adapted(questions.self_rag)),
    _q("flashrag-output", "what FlashRAG writes", keys("question", "output.pred"), adapted(questions.flashrag)),
    _q("atlas-output", "what Atlas writes", keys("generation"), adapted(questions.atlas)),
    _q("kilt", "KILT tasks", either(keys("input"), keys("output.item.provenance")), questions.read_kilt),
    _q(
        "kilt-guess",
        "a system's output on a KILT task (told from a task by --questions)",
        None,
        questions.read_kilt_guess,
    ),
    _q(
        "dpr",
        "DPR's retriever results",
        keys("question", "ctxs.item.has_answer"),
        read_questions,
        write=writers.write_dpr,
    ),
    _q(
        "fid",
        "FiD's data and dataset_wscores.json",
        either(keys("question", "ctxs.item.hasanswer"), keys("question", "context.item.text"), listed_questions),
        read_questions,
        write=writers.write_fid,
    ),
    _q(
        "nq-open",
        "NQ-open: question and `answer`",
        without(keys("question", "answer"), "id", "ctxs", "prediction"),
        read_questions,
    ),
    _q(
        "beir-queries",
        "BEIR's queries.jsonl",
        without(keys("_id", "text"), "title"),
        questions.read_beir_queries,
        write=writers.write_queries,
        keeps=frozenset({"id", "question"}),
    ),
    _q(
        "jsonl",
        "fidtools' own lines: questions",
        either(keys("question"), keys("query"), keys("claim")),
        read_questions,
        write=writers.write_jsonl,
    ),
    _q(
        "dpr-qa",
        "DPR's question file: question, list of answers",
        table(2, lambda row: row[1].lstrip('" ').startswith("["), "\t"),
        text.read_dpr_qa,
    ),
    _q(
        "trec-run",
        "a TREC run",
        table(6, lambda row: number(row[4])),
        trec.read_run,
        write=writers.write_run,
        keeps=RUN | {"tag"},
    ),
    _q("msmarco-run", "qid, docid, rank", table(3, lambda row: rank(row[2])), trec.read_msmarco_run),
    _q(
        "tevatron-run",
        "qid, docid, score",
        table(3, lambda row: number(row[2])),
        trec.read_tevatron_run,
        write=writers.write_tevatron_run,
        keeps=RUN,
    ),
    _q("narrativeqa", "NarrativeQA's qaps.csv", header(*text.QAPS), text.read_narrativeqa),
    _q(
        "fid-output",
        "FiD's final_output.txt: id, answer",
        fid_output,
        text.read_fid_output,
        write=writers.write_fid_output,
        keeps=frozenset({"id", "prediction"}),
    ),
    _q("queries-tsv", "queries as id, text", table(2, lambda row: True, "\t"), text.read_query_table),
    _q("triples", "ColBERT's text triples", table(3, lambda row: True, "\t"), text.read_triples),
    Format(
        "sentence-transformers",
        "questions",
        "lines for its DistillKLDivLoss",
        write=students.write_sentence_transformers,
        keeps=DISTILLED - {"id", "ctxs.id"},
    ),
    Format("pylate", "questions", "a folder for PyLate's distillation", write=students.write_pylate, keeps=DISTILLED),
)
PASSAGES = (
    Format("fever-wiki", "passages", "FEVER's wiki-pages", keys("id", "text", "lines"), corpora.read_fever_wiki),
    Format(
        "beir-corpus",
        "passages",
        "BEIR's corpus.jsonl",
        keys("_id", "title", "text"),
        read_passages,
        write=writers.write_beir_corpus,
    ),
    Format(
        "contents",
        "passages",
        "Pyserini's and FlashRAG's corpus",
        keys("id", "contents"),
        corpora.read_contents,
        write=writers.write_contents,
    ),
    Format(
        "passages",
        "passages",
        "fidtools' own lines: passages",
        keys("id", "text"),
        read_passages,
        write=writers.write_jsonl,
    ),
    Format(
        "psgs",
        "passages",
        "DPR's psgs_w100.tsv: id, text, title",
        either(
            header("id", "text", "title", separator="\t"),
            table(3, numbered_text, "\t"),
        ),
        read_passage_table,
        write=writers.write_psgs,
        keeps=frozenset({"id", "title", "text"}),
    ),
    Format(
        "narrativeqa-summaries",
        "passages",
        "NarrativeQA's summaries.csv",
        header(*text.SUMMARIES),
        text.read_narrativeqa_summaries,
    ),
    Format(
        "narrativeqa-documents",
        "passages",
        "NarrativeQA's documents.csv",
        header(*text.DOCUMENTS),
        text.read_narrativeqa_documents,
    ),
    Format(
        "squad-paragraphs", "passages", "SQuAD's paragraphs (named with --from)", None, questions.read_squad_paragraphs
    ),
)
OTHERS = (
    Format("pyserini-index", "embeddings", "Pyserini's FAISS folder", faiss_folder, vectors.read_pyserini_index),
    Format(
        "pickled-embeddings",
        "embeddings",
        "pickles of FiD, Contriever, DPR, Tevatron, EMDR2",
        pickled,
        vectors.read_pickled,
    ),
    Format("flashrag-memmap", "embeddings", "FlashRAG's raw float32", suffix(".memmap"), vectors.read_flashrag),
    Format(
        "jsonl-embeddings",
        "embeddings",
        "Pyserini's embeddings.jsonl",
        keys("id", "vector.item"),
        vectors.read_jsonl_vectors,
    ),
    Format(
        "beir-qrels",
        "qrels",
        "BEIR's qrels",
        header(*trec.BEIR_QRELS, separator="\t"),
        trec.read_beir_qrels,
        write=writers.write_beir_qrels,
    ),
    Format(
        "trec-qrels",
        "qrels",
        "TREC's qrels",
        table(4, lambda row: number(row[3])),
        trec.read_qrels,
        write=writers.write_qrels,
    ),
    Format("trec-eval", "measures", "what trec_eval prints", trec_eval, trec.read_trec_eval),
)
PROSE = Format("text", "passages", "a text file as one document", prose, text.read_plain_text)
FORMATS = {f.name: f for f in (*OTHERS, *PASSAGES, *QUESTIONS, PROSE)}  # the first one told is it
