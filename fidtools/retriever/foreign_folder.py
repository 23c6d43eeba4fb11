"""What a folder that sentence-transformers wrote says: its modules, prompts, lengths and pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidtools.data.jsonl import read_json_object
from fidtools.encoders.pooling import Pooling
from fidtools.encoders.sentence_layers import Layer
from fidtools.errors import DataError, FidtoolsError, UsageError
from fidtools.logs import log
from fidtools.retriever.module_list import Module, layers_after_pooling, read_modules
from fidtools.retriever.sentence_transformers import POOLING_FLAGS
from fidtools.retriever.settings import RetrieverSettings, parse_settings

UNLIMITED = 1 << 20
"""A length in tokens that stands for as many as the model reads."""
POOLING_MODES: dict[str, Pooling] = {
    "cls": "cls",
    "mean": "mean",
    "max": "max",
    "lasttoken": "last",
    "weightedmean": "weighted-mean",
    "mean_sqrt_len_tokens": "mean-sqrt",
}
"""Our pooling by `pooling_mode`, as sentence-transformers 6 writes it."""
QUESTION_PROMPTS = ("query",)
PASSAGE_PROMPTS = ("document", "passage", "corpus")
"""The names under which sentence-transformers looks for the prompts of queries and of documents, in order."""
HARMLESS_IN_MODEL = {"dtype", "torch_dtype", "attn_implementation", "trust_remote_code", "revision"}
HARMLESS_IN_TOKENIZER = {"padding_side", "use_fast", "model_max_length", "trust_remote_code", "revision"}
HARMLESS_IN_CONFIG = {"use_cache", "trust_remote_code", "revision"}
HARMLESS = {
    "model_args": HARMLESS_IN_MODEL,
    "model_kwargs": HARMLESS_IN_MODEL,
    "tokenizer_args": HARMLESS_IN_TOKENIZER,
    "processor_kwargs": HARMLESS_IN_TOKENIZER,
    "config_args": HARMLESS_IN_CONFIG,
    "config_kwargs": HARMLESS_IN_CONFIG,
}
"""Arguments for transformers in a folder that change no vector here, under old names and new ones."""


@dataclass(frozen=True)
class ForeignFolder:
    """The first module (a transformer or token vectors), the layers after pooling, and the settings.

    `similarity` is what the folder says that its vectors are compared by, or empty.
    """

    first: Module
    layers: list[Layer]
    settings: RetrieverSettings
    lower_case: bool
    similarity: str = ""


def read_foreign_folder(folder: Path) -> ForeignFolder:
    """The content of a folder with `modules.json` of sentence-transformers, but the first module's weights.

    In old folders the transformer is in `0_Transformer`. Without `max_seq_length` the lengths are UNLIMITED: those of
    the model. Raises FidtoolsError for modules in another order than transformer, pooling, layers, and for what would
    change vectors and is not supported.
    """
    modules = read_modules(folder)
    first = next(iter(modules), None)
    if first is None or first.kind not in ("Transformer", "StaticEmbedding"):
        hint = "a retriever begins with a transformer or with static embeddings"
        raise FidtoolsError(f"{folder}: unsupported module: {first.kind if first else 'none'}", hint=hint)
    after = modules[1:]
    prompts = read_prompts(folder)
    pooling: Pooling = "mean"
    if first.kind == "Transformer":
        if not after or after[0].kind != "Pooling":
            raise FidtoolsError(f"{folder}: no pooling module after the transformer in modules.json")
        pooling = _read_pooling(after[0].folder / "config.json", with_prompts=any(prompts.values()))
        after = after[1:]
    layers, normalizes = layers_after_pooling(after)
    limits = _transformer_settings(first.folder)
    length = limits.get("max_seq_length") or UNLIMITED
    settings = RetrieverSettings(
        pooling=pooling,
        normalize=normalizes,
        question_format=_escape_braces(_first_of(prompts, QUESTION_PROMPTS, folder)) + "{question}",
        passage_format=_escape_braces(_first_of(prompts, PASSAGE_PROMPTS, folder)) + "{title} {text}",
        question_maxlength=length,
        passage_maxlength=length,
    )
    settings = parse_settings(settings.to_json(), folder)
    similarity = str(_about(folder).get("similarity_fn_name") or "")
    return ForeignFolder(first, layers, settings, bool(limits.get("do_lower_case")), similarity)


def read_prompts(folder: Path) -> dict[str, str]:
    """The prompts of a folder by name, also of one that `train-retriever` wrote. Raises DataError for other values."""
    prompts = _about(folder).get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        path = folder / "config_sentence_transformers.json"
        raise DataError("must be an object of strings", path=path, field="prompts", value=prompts)
    return {str(name): text or "" for name, text in prompts.items()}


def format_changes(changes: Mapping[str, Any], prompts: Mapping[str, str]) -> dict[str, Any]:
    """The changes of settings, with `question_prompt` and `passage_prompt` (names of `prompts`) replaced by formats.

    Raises UsageError for an unknown name.
    """
    found = dict(changes)
    for kind, fields in (("question", "{question}"), ("passage", "{title} {text}")):
        if (name := found.pop(f"{kind}_prompt", None)) is None:
            continue
        if name not in prompts:
            known = ", ".join(sorted(prompts)) or "none"
            raise UsageError(f"`{kind}_prompt` {name}: the initial model has no prompt of this name", hint=known)
        found[f"{kind}_format"] = _escape_braces(prompts[name]) + fields
    return found


def warn_of_similarity(name: str | Path, foreign: ForeignFolder, normalize: bool) -> None:
    """Warn where inner products do not rank as the folder's own similarity does. They do on vectors of unit length."""
    if not normalize and foreign.similarity not in ("", "dot", "dot_score"):
        problem = f"its vectors are meant to be compared by {foreign.similarity}, but are not of unit length"
        hint = "inner products rank otherwise: train with --normalize, or add Normalize to its modules.json"
        log.warning("%s: %s\n  %s", name, problem, hint)


def _about(folder: Path) -> dict[str, Any]:
    path = folder / "config_sentence_transformers.json"
    return read_json_object(path) if path.exists() else {}


def _first_of(prompts: Mapping[str, str], names: tuple[str, ...], folder: Path) -> str:
    """The prompt under the first of these names; the default prompt in a folder that has none of them."""
    default = _about(folder).get("default_prompt_name")
    if not any(name in prompts for name in names) and isinstance(default, str):
        return prompts.get(default, "")
    return next((prompts[name] for name in names if prompts.get(name)), "")


def _transformer_settings(folder: Path) -> dict[str, Any]:
    """The settings beside a transformer: `sentence_bert_config.json`, in old folders of another architecture's name."""
    files = sorted(folder.glob("sentence_*_config.json"), key=lambda path: path.name != "sentence_bert_config.json")
    if not files:
        return {}
    found = read_json_object(files[0])
    _refuse_unsupported(found, files[0])
    return found


def _refuse_unsupported(settings: dict[str, Any], path: Path) -> None:
    """Raise DataError for settings of a transformer under which its vectors would be others than ours."""
    if (task := settings.get("transformer_task", "feature-extraction")) != "feature-extraction":
        raise DataError("unsupported", path=path, field="transformer_task", value=task)
    reads_text = (settings.get("modality_config") or {}).get("text", {}).get("method_output_name", "last_hidden_state")
    if reads_text != "last_hidden_state":
        raise DataError("unsupported", path=path, field="modality_config", value=reads_text)
    for name, harmless in HARMLESS.items():
        if unknown := sorted((settings.get(name) or {}).keys() - harmless):
            raise DataError("unsupported argument", path=path, field=name, value=unknown[0])


def _escape_braces(prompt: str) -> str:
    return prompt.replace("{", "{{").replace("}", "}}")


def _read_pooling(path: Path, *, with_prompts: bool) -> Pooling:
    config = read_json_object(path)
    if with_prompts and config.get("include_prompt") is False:
        raise DataError("unsupported pooling: the prompt's tokens are left out", path=path, field="include_prompt")
    if chosen := config.get("pooling_mode"):
        modes = [chosen] if isinstance(chosen, str) else list(chosen)
        names = [POOLING_MODES.get(mode, mode) for mode in modes]
    else:
        names = [how for how, flag in POOLING_FLAGS.items() if config.get(f"pooling_mode_{flag}")] or ["mean"]
    if len(names) != 1 or names[0] not in POOLING_FLAGS:
        known = ", ".join(POOLING_MODES)
        raise DataError(f"unsupported pooling: must be one of {known}", path=path, value=names)
    return names[0]
