"""What model folders hold, so that an output folder is replaced only when fidtools has written all of it."""

from __future__ import annotations

from fidtools.data.outputs import FolderKind

WEIGHTS = ("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json")
TOKENIZER = (
    *("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.jinja"),
    *("spiece.model", "sentencepiece*", "spm.model", "source.spm", "target.spm", "*.tiktoken", "bpe.codes"),
    *("normalizer.json", "emoji.json", "dict.txt", "entity_vocab.json", "processor_config.json"),
)
OURS = ("fidtools.json", "retriever.json", "teacher.json", "projection.safetensors", "README.md", "training.json")
SENTENCE_TRANSFORMERS = (
    *("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"),
    *("[0-9]_*/*.json", "[0-9]_*/model.safetensors"),
)
ADAPTER = ("adapter/adapter_config.json", "adapter/adapter_model.safetensors")
ONE_MODEL = (*WEIGHTS, *TOKENIZER, *OURS, *SENTENCE_TRANSFORMERS, *ADAPTER)
MODEL = (*ONE_MODEL, *(f"passages/{name}" for name in ONE_MODEL))
RUN = ("log.jsonl", "tracking/*")

TRAINED = FolderKind("a trained model", ("training.json",), (*MODEL, *(f"last/{name}" for name in MODEL), *RUN))
UNFINISHED = FolderKind("an unfinished run", ("record.json",), ("record.json", "best/*", "state-*", *RUN))
CONVERTED = tuple(name for name in MODEL if "training.json" not in name)
READER = FolderKind("a converted reader", ("fidtools.json",), CONVERTED)
RETRIEVER = FolderKind("a converted retriever", ("retriever.json",), CONVERTED)
ONNX = FolderKind(
    "an ONNX export",
    ("retriever.json", "model.onnx"),
    (*TOKENIZER, "retriever.json", "model.onnx*", "passages.onnx*"),
)
