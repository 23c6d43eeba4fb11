"""A retriever folder: written so that AutoModel (transformers) and SentenceTransformer load it too.

config.json, model.safetensors, tokenizer files   the transformer, as transformers writes it
retriever.json                                    RetrieverSettings, and what the student is
projection.safetensors                            the projection of its tokens, where there is one
modules.json, 1_Pooling/, …                       the same model for sentence-transformers
passages/                                         the passages' encoder, where only the questions' was trained
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
    read_foreign_settings,
    write_transformer_modules,
    write_word_modules,
)
from fidtools.retriever.settings import RetrieverSettings, parse_settings
from fidtools.retriever.tower import Tower

DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "dropout_rate")


def load_tower(name: str | Path, *, dropout: float | None = None, **changes: Any) -> Tower:
    """The encoder, tokenizer and settings of a folder or a hub name, on the CPU in float32.

    `changes` replace settings; a transformer without any starts with the paper's. Raises FidtoolsError when it cannot
    be loaded, UsageError when a length asked for is beyond what the model can read.
    """
    path = resolve_model(name)
    folder = Path(path)
    own = folder / "retriever.json"
    record = orjson.loads(own.read_bytes()) if own.exists() else {}
    student = record.pop("student", "transformer")
    with loading(name):
        if student == "transformer":
            return _load_transformer(path, _settings(folder, record), dropout, changes)
        encoder, tokenizer = _load_words(folder, student, dropout or 0.0)
    settings = replace(parse_settings(record, own), **changes)
    encoder.pooling = settings.pooling
    return Tower(encoder, tokenizer, settings)


def _settings(folder: Path, record: dict[str, Any]) -> RetrieverSettings:
    if record:
        return parse_settings(record, folder / "retriever.json")
    return read_foreign_settings(folder) if (folder / "modules.json").exists() else RetrieverSettings()


def _load_transformer(path: str, settings: RetrieverSettings, dropout: float | None, changes: dict[str, Any]) -> Tower:
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, AutoTokenizer

    config = AutoConfig.from_pretrained(path)
    if dropout is not None:
        _set_dropout(config, dropout)
    kind = AutoModelForTextEncoding if config.is_encoder_decoder else AutoModel
    model, report = kind.from_pretrained(path, config=config, dtype=torch.float32, output_loading_info=True)
    if missing := sorted(name for name in report["missing_keys"] if "pooler" not in name):
        raise DataError(f"{len(missing)} weights are missing, among them {missing[0]}", path=path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    settings = _within_limits(settings, changes, _longest(tokenizer, config))
    encoder = TransformerEncoder(model.eval(), settings.pooling, _load_projection(Path(path)))
    return Tower(encoder.eval(), tokenizer, settings)


def _set_dropout(config: Any, dropout: float) -> None:
    names = [name for name in DROPOUTS if hasattr(config, name)]
    if not names:
        raise UsageError(f"a {config.model_type} model has no dropout to set")
    for name in names:
        setattr(config, name, dropout)


def _longest(tokenizer: Any, config: Any) -> int:
    """How many tokens the model can read. RoBERTa's kin count positions from behind the padding's."""
    positions = getattr(config, "max_position_embeddings", None) or 1 << 20
    if config.model_type in {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"}:
        positions -= config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def _within_limits(settings: RetrieverSettings, changes: dict[str, Any], longest: int) -> RetrieverSettings:
    for name in ("question_maxlength", "passage_maxlength"):
        asked = changes.get(name)
        if asked is not None and asked > longest:
            raise UsageError(f"{name.replace('_', ' ')} {asked}: this model reads at most {longest} tokens")
        if getattr(settings, name) > longest:
            log.info("%s: %d, the most that this model reads", name.replace("_", " "), longest)
            changes = {name: longest} | changes
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


def _load_words(folder: Path, student: str, dropout: float) -> tuple[WordEncoder, WordTokenizer]:
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
    """Write a retriever into an existing folder. The bytes depend on the weights and settings only."""
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
