"""What model folders hold: by it their kind is known, and whether fidtools has written all of a folder to replace."""

from __future__ import annotations

from pathlib import Path

from fidtools.data.outputs import FolderKind
from fidtools.errors import UsageError

SETTINGS = {"reader": "fidtools.json", "retriever": "retriever.json", "teacher": "teacher.json"}
"""The file that a folder of each kind has."""

WEIGHTS = ("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json")
TOKENIZER = (
    *("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.jinja"),
    *("spiece.model", "sentencepiece*", "spm.model", "source.spm", "target.spm", "*.tiktoken", "bpe.codes"),
    *("normalizer.json", "emoji.json", "dict.txt", "entity_vocab.json", "processor_config.json"),
)
OURS = (*SETTINGS.values(), "projection.safetensors", "README.md", "training.json")
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


def refuse_other_kinds(name: str | Path, folder: Path, kind: str) -> None:
    """Raise UsageError for a folder of another kind of model than the one of SETTINGS that is wanted."""
    for other, file in SETTINGS.items():
        if (folder / file).exists() and not (folder / SETTINGS[kind]).exists():
            raise UsageError(f"{name}: a {other}, not a {kind}", hint=f"fidtools train-{kind} makes a {kind}")
