"""The kinds of models that training makes, and how each is loaded and used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Kind:
    """What a card tells about one kind of model. `load` is Python, `use` a command of fidtools."""

    title: str
    library: str
    tags: tuple[str, ...]
    load: str
    use: str
    pipeline: str | None = None


READER = Kind(
    "Fusion-in-Decoder reader",
    "transformers",
    ("fusion-in-decoder", "question-answering"),
    "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer\n\n"
    'model = AutoModelForSeq2SeqLM.from_pretrained("reader")\n'
    'tokenizer = AutoTokenizer.from_pretrained("reader")',
    "fidtools read questions.jsonl --reader reader",
)
CAUSAL_READER = replace(READER, load=READER.load.replace("Seq2SeqLM", "CausalLM"))
RETRIEVER = Kind(
    "Dense retriever",
    "sentence-transformers",
    ("sentence-transformers", "feature-extraction", "dense-retrieval", "knowledge-distillation"),
    "from sentence_transformers import SentenceTransformer\n\n"
    'model = SentenceTransformer("retriever")\n'
    'questions = model.encode_query(["where is the Eiffel Tower?"])\n'
    'passages = model.encode_document(["The Eiffel Tower is in Paris."])',
    "fidtools embed passages.jsonl --retriever retriever -o passages.npy",
    "sentence-similarity",
)
TWO_TOWERS = Kind(
    "Dense retriever with separate encoders for questions and passages",
    RETRIEVER.library,
    RETRIEVER.tags,
    "from sentence_transformers import SentenceTransformer\n\n"
    'questions = SentenceTransformer("retriever").encode_query(["where is the Eiffel Tower?"])\n'
    'passages = SentenceTransformer("retriever/passages").encode_document(["The Eiffel Tower is in Paris."])',
    RETRIEVER.use,
    RETRIEVER.pipeline,
)
CROSS_ENCODER = Kind(
    "Cross-encoder teacher",
    "sentence-transformers",
    ("sentence-transformers", "cross-encoder", "reranker"),
    "from sentence_transformers import CrossEncoder\n\n"
    'model = CrossEncoder("teacher")\n'
    'scores = model.predict([("where is the Eiffel Tower?", "The Eiffel Tower is in Paris.")])',
    "fidtools score-cross questions.jsonl --teacher teacher -o scored.jsonl",
    "text-ranking",
)
COATTENTION = Kind("Coattention BiLSTM teacher", "fidtools", ("reranker",), "", CROSS_ENCODER.use)


def kind_of(record: Mapping[str, Any]) -> Kind | None:
    """What kind of model a run makes; None for a run of no command, which gets no card."""
    match record.get("command"):
        case "train-reader":
            return CAUSAL_READER if record.get("causal") else READER
        case "train-retriever":
            return TWO_TOWERS if record.get("freeze_passages") else RETRIEVER
        case "train-teacher":
            return COATTENTION if record.get("coattention") else CROSS_ENCODER
    return None
