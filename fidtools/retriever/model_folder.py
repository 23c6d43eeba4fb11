"""A retriever folder, which AutoModel of transformers and SentenceTransformer load too.

config.json, model.safetensors, tokenizer files   the transformer, as transformers writes it
retriever.json                                    RetrieverSettings, the kind of encoder (`student`) and its `parts`
projection.safetensors                            the projection of the hidden states, if there is one
modules.json, 1_Pooling/, …                       the same model for sentence-transformers
passages/                                         the passage encoder, if only the question encoder was trained
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from fidtools.compute.batching import check_padding, padding_id
from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.model_files import refuse_other_kinds
from fidtools.data.jsonl import read_json_object, write_json
from fidtools.encoders.static_encoder import StaticEncoder
from fidtools.encoders.transformer import TransformerEncoder
from fidtools.encoders.word_encoders import WordEncoder, WordLSTM
from fidtools.errors import DataError, UsageError
from fidtools.retriever.foreign_folder import (
    ForeignFolder,
    format_changes,
    read_foreign_folder,
    read_prompts,
    warn_of_similarity,
)
from fidtools.retriever.module_list import layers_after_pooling, read_modules
from fidtools.retriever.sentence_transformers import write_word_modules
from fidtools.retriever.settings import parse_settings
from fidtools.retriever.static_folder import read_static, write_static_modules
from fidtools.retriever.tower import Tower
from fidtools.retriever.transformer_folder import PROJECTION, read_transformer, write_transformer
from fidtools.retriever.word_folder import read_word_encoder


def load_tower(name: str | Path, *, dropout: float | None = None, **changes: Any) -> Tower:
    """The encoder, tokenizer and settings of a folder or hub name, on the CPU in float32.

    `changes` are RetrieverSettings fields that replace the folder's, or `question_prompt` and `passage_prompt`, which
    name prompts of the folder; a transformer without `retriever.json` starts from the default settings. Raises
    FidtoolsError when it cannot be loaded or is not whole, UsageError when it is a reader or a teacher, and when a
    requested maximum length exceeds what the model can read.
    """
    folder = resolve_model(name)
    refuse_other_kinds(name, folder, "retriever")
    settings_file = folder / "retriever.json"
    record = read_json_object(settings_file) if settings_file.exists() else {}
    _check_parts(folder, record.pop("parts", []), settings_file)
    if not record and not (folder / "modules.json").exists() and (folder / "1_Pooling").exists():
        hint = "copy the folder again as a whole; without 1_Pooling it is a plain encoder"
        raise DataError("no modules.json in it, which says what 1_Pooling is for", path=folder, hint=hint)
    student = record.pop("student", "transformer")
    with loading(name):
        prompts = read_prompts(folder)
        changes = format_changes(changes, prompts)
        foreign = None if record or not (folder / "modules.json").exists() else read_foreign_folder(folder)
        if student == "static" or (foreign is not None and foreign.first.kind == "StaticEmbedding"):
            tower = _load_static(folder, foreign, record, dropout, changes)
        elif student == "transformer":
            tower = read_transformer(name, folder, foreign, record, dropout, changes)
        else:
            encoder, tokenizer = read_word_encoder(folder, student, dropout or 0.0)
            encoder.pooling = (settings := replace(parse_settings(record, settings_file), **changes)).pooling
            tower = Tower(encoder, tokenizer, settings)
        check_padding(name, tower.encoder, padding_id(tower.tokenizer), _vocabulary(tower.encoder))
    if foreign is not None:
        warn_of_similarity(name, foreign, tower.settings.normalize)
    return replace(tower, prompts=prompts)


def _check_parts(folder: Path, parts: Any, settings_file: Path) -> None:
    """Raise DataError where something is missing without which the vectors would be others."""
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise DataError("must be a list of names", path=settings_file, field="parts", value=parts)
    if missing := [part for part in parts if not (folder / part).exists()]:
        hint = "copy the folder again with all files and folders in it, such as by cp -r"
        raise DataError(f"{missing[0]} is missing, which {settings_file.name} names as a part", path=folder, hint=hint)


def _vocabulary(encoder: nn.Module) -> int:
    """How many token ids an encoder has vectors for."""
    if isinstance(encoder, TransformerEncoder):
        return int(encoder.model.get_input_embeddings().num_embeddings)
    return next(part.num_embeddings for part in encoder.modules() if isinstance(part, nn.Embedding))


def _load_static(
    folder: Path, foreign: ForeignFolder | None, record: dict[str, Any], dropout: float | None, changes: dict[str, Any]
) -> Tower:
    check_static(dropout, changes)
    if foreign is not None:
        encoder, tokenizer, length = read_static(foreign.first.folder, foreign.layers)
        settings = replace(foreign.settings, question_maxlength=length, passage_maxlength=length)
    else:
        modules = read_modules(folder)
        settings = parse_settings(record, folder / "retriever.json")
        if not modules or modules[0].kind != "StaticEmbedding":
            raise DataError("no static embedding in it", path=folder / "modules.json")
        encoder, tokenizer, _ = read_static(modules[0].folder, layers_after_pooling(modules[1:])[0])
    return Tower(encoder.eval(), tokenizer, replace(settings, **changes))


def check_static(dropout: float | None, changes: Mapping[str, Any]) -> None:
    """Raise UsageError for settings that a static encoder does not have: it averages, without dropout."""
    if dropout:
        raise UsageError("`dropout` does not apply to static embeddings")
    if changes.get("pooling", "mean") != "mean":
        raise UsageError(f"`pooling` {changes['pooling']} does not apply to static embeddings, which are averaged")


def save_tower(folder: Path, tower: Tower, *, passages: bool = False) -> None:
    """Write a tower into an existing folder. The bytes depend on its weights, tokenizer and settings only.

    With `passages` another tower is in `passages/`. `retriever.json` names it and the other parts that may be lost
    without a trace.
    """
    encoder, tokenizer, settings = tower.encoder, tower.tokenizer, tower.settings
    if isinstance(encoder, WordEncoder):
        student = "lstm" if isinstance(encoder.layers, WordLSTM) else "cnn"
        write_word_modules(folder, encoder, tokenizer, settings)
    elif isinstance(encoder, StaticEncoder):
        student = "static"
        write_static_modules(folder, encoder, tokenizer, settings, tower.prompts)
    else:
        assert isinstance(encoder, TransformerEncoder)
        student = "transformer"
        write_transformer(folder, tower, encoder)
    parts = [name for name in ("modules.json", PROJECTION) if (folder / name).exists()]
    parts += ["passages"] if passages else []
    write_json(folder / "retriever.json", {"student": student, "parts": parts} | settings.to_json())
