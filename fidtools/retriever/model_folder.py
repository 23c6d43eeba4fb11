"""A retriever folder, which AutoModel of transformers and SentenceTransformer load too.

config.json, model.safetensors, tokenizer files   the transformer, as transformers writes it
retriever.json                                    RetrieverSettings and the kind of the encoder (`student`)
projection.safetensors                            the projection of the hidden states, if there is one
modules.json, 1_Pooling/, …                       the same model for sentence-transformers
passages/                                         the passage encoder, if only the question encoder was trained
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors.torch import load_file, save_file

from fidtools.compute.hub import loading, resolve_model
from fidtools.data.jsonl import write_json
from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.encoders.word_encoders import WordCNN, WordEncoder, WordLSTM
from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.errors import DataError, UsageError
from fidtools.logs import log
from fidtools.retriever.sentence_transformers import (
    read_sentence_transformers_settings,
    write_transformer_modules,
    write_word_modules,
)
from fidtools.retriever.settings import RetrieverSettings, parse_settings
from fidtools.retriever.tower import Tower

DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "dropout_rate")


def load_tower(name: str | Path, *, dropout: float | None = None, **changes: Any) -> Tower:
    """The encoder, tokenizer and settings of a folder or hub name, on the CPU in float32.

    `changes` are RetrieverSettings fields that replace the folder's; a transformer without `retriever.json` starts from
    the default settings. Raises FidtoolsError when it cannot be loaded, UsageError when a requested maximum length
    exceeds what the model can read.
    """
    path = resolve_model(name)
    folder = Path(path)
    settings_file = folder / "retriever.json"
    record = orjson.loads(settings_file.read_bytes()) if settings_file.exists() else {}
    student = record.pop("student", "transformer")
    with loading(name):
        if student == "transformer":
            return _load_transformer(path, _settings(folder, record), dropout, changes)
        encoder, tokenizer = _load_word_encoder(folder, student, dropout or 0.0)
    settings = replace(parse_settings(record, settings_file), **changes)
    encoder.pooling = settings.pooling
    return Tower(encoder, tokenizer, settings)


def _settings(folder: Path, record: dict[str, Any]) -> RetrieverSettings:
    if record:
        return parse_settings(record, folder / "retriever.json")
    return read_sentence_transformers_settings(folder) if (folder / "modules.json").exists() else RetrieverSettings()


def _load_transformer(path: str, settings: RetrieverSettings, dropout: float | None, changes: dict[str, Any]) -> Tower:
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, AutoTokenizer

    config = AutoConfig.from_pretrained(path)
    if dropout is not None:
        _set_dropout(config, dropout)
    kind = AutoModelForTextEncoding if config.is_encoder_decoder else AutoModel
    model, report = kind.from_pretrained(path, config=config, dtype=torch.float32, output_loading_info=True)
    if missing := sorted(name for name in report["missing_keys"] if "pooler" not in name):
        raise DataError(f"{len(missing)} weights are missing, such as {missing[0]}", path=path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    settings = _limit_lengths(settings, changes, _max_tokens(tokenizer, config))
    encoder = TransformerEncoder(model.eval(), settings.pooling, _load_projection(Path(path)))
    return Tower(encoder.eval(), tokenizer, settings)


def _set_dropout(config: Any, dropout: float) -> None:
    names = [name for name in DROPOUTS if hasattr(config, name)]
    if not names:
        raise UsageError(f"a {config.model_type} model has no dropout setting")
    for name in names:
        setattr(config, name, dropout)


def _max_tokens(tokenizer: Any, config: Any) -> int:
    """The largest number of tokens that the model can read."""
    positions = getattr(config, "max_position_embeddings", None) or 1 << 20
    if config.model_type in {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"}:
        positions -= config.pad_token_id + 1  # their positions start after that of the padding token
    return int(min(positions, tokenizer.model_max_length))


def _limit_lengths(settings: RetrieverSettings, changes: dict[str, Any], limit: int) -> RetrieverSettings:
    for name in ("question_maxlength", "passage_maxlength"):
        requested = changes.get(name)
        if requested is not None and requested > limit:
            raise UsageError(f"{name.replace('_', ' ')} {requested}: this model reads at most {limit} tokens")
        if getattr(settings, name) > limit:
            log.info("%s set to %d, the maximum of this model", name.replace("_", " "), limit)
            changes = {name: limit} | changes
    return replace(settings, **changes)


def _load_projection(folder: Path) -> TokenProjection | None:
    path = folder / "projection.safetensors"
    if not path.exists():
        return None
    tensors = load_file(path)
    dim, hidden = tensors["proj.weight"].shape
    projection = TokenProjection(hidden, dim)
    projection.load_state_dict(tensors)
    return projection


def _load_word_encoder(folder: Path, student: str, dropout: float) -> tuple[WordEncoder, WordTokenizer]:
    words = orjson.loads((folder / "0_WordEmbeddings" / "whitespacetokenizer_config.json").read_bytes())
    vectors = load_file(folder / "0_WordEmbeddings" / "model.safetensors")["emb_layer.weight"]
    if student not in ("lstm", "cnn"):
        raise DataError("must be transformer, lstm or cnn", path=folder / "retriever.json", value=student)
    layers = _load_lstm(folder) if student == "lstm" else _load_cnn(folder)
    encoder = WordEncoder(vectors, layers, dropout=dropout)
    return encoder.eval(), WordTokenizer(words["vocab"])


def _load_lstm(folder: Path) -> WordLSTM:
    shape = orjson.loads((folder / "1_LSTM" / "lstm_config.json").read_bytes())
    layers = WordLSTM(shape["embedding_dimension"], shape["hidden_dim"], shape["num_layers"], shape["dropout"])
    tensors = load_file(folder / "1_LSTM" / "model.safetensors")
    layers.rnn.load_state_dict({name.removeprefix("encoder."): value for name, value in tensors.items()})
    return layers


def _load_cnn(folder: Path) -> WordCNN:
    shape = orjson.loads((folder / "1_CNN" / "cnn_config.json").read_bytes())
    layers = WordCNN(shape["in_embedding_dimension"], shape["out_channels"], shape["kernel_sizes"])
    layers.load_state_dict(load_file(folder / "1_CNN" / "model.safetensors"))
    return layers


def save_tower(folder: Path, tower: Tower) -> None:
    """Write a tower into an existing folder. The bytes depend on its weights, tokenizer and settings only."""
    encoder, tokenizer, settings = tower.encoder, tower.tokenizer, tower.settings
    if isinstance(encoder, WordEncoder):
        student = "lstm" if isinstance(encoder.layers, WordLSTM) else "cnn"
        write_word_modules(folder, encoder, tokenizer, settings)
    else:
        assert isinstance(encoder, TransformerEncoder)
        student = "transformer"
        encoder.model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if encoder.projection is not None:
            tensors = {name: value.detach().cpu() for name, value in encoder.projection.state_dict().items()}
            save_file(tensors, folder / "projection.safetensors")
        write_transformer_modules(folder, encoder, settings)
    write_json(folder / "retriever.json", {"student": student} | settings.to_json())
