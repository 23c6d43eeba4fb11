"""All file formats by name."""

from __future__ import annotations

from fidtools.formats import (
    beir,
    distillation,
    dpr,
    embedding_files,
    fact_verification,
    fid,
    kilt_files,
    named_columns,
    narrativeqa_files,
    parquet_files,
    plain_text,
    qrels,
    reading_comprehension,
    run_tables,
    runs,
    system_outputs,
    tevatron,
)
from fidtools.formats.format import Format

MODULES = (
    beir,
    distillation,
    dpr,
    embedding_files,
    fact_verification,
    fid,
    kilt_files,
    named_columns,
    narrativeqa_files,
    parquet_files,
    plain_text,
    qrels,
    reading_comprehension,
    run_tables,
    runs,
    system_outputs,
    tevatron,
)
# The first format that detects a file wins, so special formats stand before general ones ("jsonl", "triples", "text").
DETECTION_ORDER = (
    "pyserini-index pickled-embeddings flashrag-memmap parquet-embeddings parquet-questions parquet-passages"
    " jsonl-embeddings beir-qrels pyterrier-run colbert-run trec-qrels trec-eval fever-wiki beir-corpus"
    " contents passages psgs narrativeqa-summaries narrativeqa-documents passage-table squad-paragraphs beir"
    " triviaqa-archive triviaqa squad pyserini-dpr dpr-train tevatron tevatron-ids kgi hover fever qed evouna self-rag"
    " flashrag-output atlas-output kilt kilt-guess dpr fid nq-open beir-queries jsonl dpr-qa trec-run msmarco-run"
    " tevatron-run narrativeqa question-table fid-output queries-tsv triples sentence-transformers flagembedding"
    " pylate question-lines text"
).split()


def _ordered() -> dict[str, Format]:
    known = {found.name: found for module in MODULES for found in module.FORMATS}
    if known.keys() != set(DETECTION_ORDER):
        raise LookupError(f"DETECTION_ORDER does not match FORMATS: {sorted(known.keys() ^ set(DETECTION_ORDER))}")
    return {name: known[name] for name in DETECTION_ORDER}


FORMATS = _ordered()
