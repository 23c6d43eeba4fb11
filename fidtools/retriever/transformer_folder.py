"""The files of a transformer encoder: the model as transformers writes it, its tokenizer, and a projection if any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from fidtools.compute.lengths import limited
from fidtools.compute.loading import is_decoder_only, load_config, load_network
from fidtools.compute.positions import max_positions
from fidtools.compute.special_tokens import adds_end_token
from fidtools.compute.tokenizers import load_tokenizer, lower_case, save_tokenizer
from fidtools.encoders.sentence_layers import Layer
from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.errors import UsageError
from fidtools.logs import log
from fidtools.retriever.foreign_folder import UNLIMITED, ForeignFolder
from fidtools.retriever.module_list import layers_after_pooling, read_modules
from fidtools.retriever.sentence_transformers import write_transformer_modules
from fidtools.retriever.settings import RetrieverSettings, parse_settings
from fidtools.retriever.tower import Tower
from fidtools.training.lora import save_merged

PROJECTION = "projection.safetensors"
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "dropout_rate")


def read_transformer(
    name: str | Path,
    folder: Path,
    foreign: ForeignFolder | None,
    record: dict[str, Any],
    dropout: float | None,
    changes: dict[str, Any],
) -> Tower:
    """The tower of a transformer: one that sentence-transformers wrote (`foreign`), ours (`record`), or a plain one.

    Raises UsageError for a model that is no encoder and for a length above what it reads, FidtoolsError for a folder
    that is not whole.
    """
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
        own = getattr(settings, name)
        default = min(own, limit) if own == UNLIMITED else own
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


def write_transformer(folder: Path, tower: Tower, encoder: TransformerEncoder) -> None:
    """Write the model, the tokenizer, the projection, and the files of sentence-transformers."""
    save_merged(encoder.model, folder)
    save_tokenizer(tower.tokenizer, folder)
    if encoder.projection is not None:
        tensors = {name: value.detach().cpu() for name, value in encoder.projection.state_dict().items()}
        save_file(tensors, folder / PROJECTION)
    write_transformer_modules(folder, encoder, tower.settings, tower.prompts)
