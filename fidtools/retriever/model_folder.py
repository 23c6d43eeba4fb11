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

from safetensors.torch import load_file, save_file
from torch import nn

from fidtools.compute.batching import check_padding, padding_id
from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.lengths import limited
from fidtools.compute.loading import is_decoder_only, load_config, load_network
from fidtools.compute.positions import max_positions
from fidtools.compute.special_tokens import adds_end_token
from fidtools.compute.tokenizers import load_tokenizer, lower_case, save_tokenizer
from fidtools.data.jsonl import read_json_object, write_json
from fidtools.encoders.sentence_layers import Layer
from fidtools.encoders.static_encoder import StaticEncoder
from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.encoders.word_encoders import WordEncoder, WordLSTM
from fidtools.errors import DataError, UsageError
from fidtools.logs import log
from fidtools.retriever.foreign_folder import (
    UNLIMITED,
    ForeignFolder,
    format_changes,
    read_foreign_folder,
    read_prompts,
    warn_of_similarity,
)
from fidtools.retriever.module_list import layers_after_pooling, read_modules
from fidtools.retriever.sentence_transformers import write_transformer_modules, write_word_modules
from fidtools.retriever.settings import RetrieverSettings, parse_settings
from fidtools.retriever.static_folder import read_static, write_static_modules
from fidtools.retriever.tower import Tower
from fidtools.retriever.word_folder import read_word_encoder
from fidtools.training.lora import save_merged

PROJECTION = "projection.safetensors"
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "dropout_rate")


def load_tower(name: str | Path, *, dropout: float | None = None, **changes: Any) -> Tower:
    """The encoder, tokenizer and settings of a folder or hub name, on the CPU in float32.

    `changes` are RetrieverSettings fields that replace the folder's, or `question_prompt` and `passage_prompt`, which
    name prompts of the folder; a transformer without `retriever.json` starts from
    the default settings. Raises FidtoolsError when it cannot be loaded or is not whole, UsageError when it is a reader
    or a teacher, and when a requested maximum length exceeds what the model can read.
    """
    folder = resolve_model(name)
    _refuse_other_models(name, folder)
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
            tower = replace(_load_static(folder, foreign, record, dropout, changes), prompts=prompts)
        elif student == "transformer":
            tower = replace(_load_transformer(name, folder, foreign, record, dropout, changes), prompts=prompts)
        else:
            encoder, tokenizer = read_word_encoder(folder, student, dropout or 0.0)
            encoder.pooling = (settings := replace(parse_settings(record, settings_file), **changes)).pooling
            tower = Tower(encoder, tokenizer, settings)
        check_padding(name, tower.encoder, padding_id(tower.tokenizer), _vocabulary(tower.encoder))
    if foreign is not None:
        warn_of_similarity(name, foreign, tower.settings.normalize)
    return tower


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


def _refuse_other_models(name: str | Path, folder: Path) -> None:
    for file, what in (("fidtools.json", "reader"), ("teacher.json", "teacher")):
        if (folder / file).exists() and not (folder / "retriever.json").exists():
            raise UsageError(f"{name}: a {what}, not a retriever", hint="fidtools train-retriever makes a retriever")


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


def _load_transformer(
    name: str | Path,
    folder: Path,
    foreign: ForeignFolder | None,
    record: dict[str, Any],
    dropout: float | None,
    changes: dict[str, Any],
) -> Tower:
    from transformers import AutoModel, AutoModelForTextEncoding

    root, lower = folder, False
    if foreign is None:
        settings = parse_settings(record, folder / "retriever.json") if record else RetrieverSettings()
        layers = _own_layers(folder) if record else []
    else:
        root, settings, lower, layers = foreign.first.folder, foreign.settings, foreign.lower_case, foreign.layers
    config = load_config(name, root)
    if dropout is not None:
        _set_dropout(config, dropout)
    _check_kind(name, config, changes.get("pooling") or settings.pooling)
    # a saved encoder half says that it is no encoder-decoder, but AutoModel would build the whole
    half = config.is_encoder_decoder or any("EncoderModel" in kind for kind in config.architectures or [])
    if half and type(config) not in AutoModelForTextEncoding._model_mapping:
        problem = f"an encoder-decoder ({config.model_type}), whose encoder cannot be loaded alone"
        raise UsageError(f"{name}: {problem}", hint="give an encoder, such as bert-base-uncased, or a T5")
    kind, unread = (AutoModelForTextEncoding, ("decoder.",)) if half else (AutoModel, ())
    model = load_network(name, root, kind, config, may_be_new=lambda weight: "pooler" in weight, unread=unread)
    tokenizer = load_tokenizer(name, root, config, rows=model.get_input_embeddings().num_embeddings)
    if lower:
        lower_case(tokenizer)
    settings = _limit_lengths(settings, changes, _max_tokens(tokenizer, model))
    if settings.pooling == "last" and not adds_end_token(tokenizer):
        log.info("%s: the tokenizer adds no end token; a text's vector is that of its own last token", name)
    encoder = TransformerEncoder(model.eval(), settings.pooling, _load_projection(folder), layers)
    return Tower(encoder.eval(), tokenizer, settings)


def _own_layers(folder: Path) -> list[Layer]:
    """The layers after pooling in a folder that has `retriever.json`, where unit length is a setting."""
    modules = read_modules(folder)
    pooling = [module.kind for module in modules].index("Pooling") if modules else 0
    return layers_after_pooling(modules[pooling + 1 :])[0]


def _check_kind(name: str | Path, config: Any, pooling: str) -> None:
    """Refuse what gives every text one vector; warn of a model that was made for something else."""
    kinds = config.architectures or []
    if config.model_type == "dpr":
        hint = "fidtools convert dpr QUESTIONS PASSAGES -o FOLDER makes a retriever of both"
        raise UsageError(f"{name}: one of the two encoders of DPR", hint=hint)
    sees_ahead = config.is_encoder_decoder or getattr(config, "use_bidirectional_attention", False)
    if pooling == "cls" and not sees_ahead and is_decoder_only(config):
        problem = (
            f"a causal language model ({config.model_type}): its first token sees no other, so all vectors are equal"
        )
        hint = "use `pooling` last (or mean), or give an encoder, such as bert-base-uncased"
        raise UsageError(f"{name}: {problem}", hint=hint)
    if any("ForSequenceClassification" in kind for kind in kinds):
        log.warning("%s: a classifier (a cross-encoder?), whose encoder is used without its head", name)


def _set_dropout(config: Any, dropout: float) -> None:
    names = [name for name in DROPOUTS if hasattr(config, name)]
    if not names:
        raise UsageError(f"a {config.model_type} model has no dropout setting")
    for name in names:
        setattr(config, name, dropout)


def _max_tokens(tokenizer: Any, model: Any) -> int:
    """The largest number of tokens that the model can read."""
    return int(min(max_positions(model) or UNLIMITED, tokenizer.model_max_length))


def _limit_lengths(settings: RetrieverSettings, changes: dict[str, Any], limit: int) -> RetrieverSettings:
    for name in ("question_maxlength", "passage_maxlength"):
        default = (
            min(getattr(settings, name), limit) if getattr(settings, name) == UNLIMITED else getattr(settings, name)
        )
        changes = changes | {name: limited(name.replace("_", " "), default, changes.get(name), limit)}
    return replace(settings, **changes)


def _load_projection(folder: Path) -> TokenProjection | None:
    path = folder / PROJECTION
    if not path.exists():
        return None
    tensors = load_file(path)
    dim, hidden = tensors["proj.weight"].shape
    projection = TokenProjection(hidden, dim)
    projection.load_state_dict(tensors)
    return projection


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
        save_merged(encoder.model, folder)
        save_tokenizer(tokenizer, folder)
        if encoder.projection is not None:
            tensors = {name: value.detach().cpu() for name, value in encoder.projection.state_dict().items()}
            save_file(tensors, folder / PROJECTION)
        write_transformer_modules(folder, encoder, settings, tower.prompts)
    parts = [name for name in ("modules.json", PROJECTION) if (folder / name).exists()]
    parts += ["passages"] if passages else []
    write_json(folder / "retriever.json", {"student": student, "parts": parts} | settings.to_json())
