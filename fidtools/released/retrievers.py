"""Retrievers that the reference implementation trained, as retriever folders of ours.

Such a folder holds `config.json` (BERT's, with the retriever's own fields) and `pytorch_model.bin` (or
`model.safetensors`), whose names start with `model.`, `proj.` and `norm.`. Pickles are read without running code.
"""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import orjson
import torch
from safetensors.torch import load_file

from fidtools.compute.hub import loading, resolve_model
from fidtools.data.files import PathLike, atomic_folder
from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.errors import DataError
from fidtools.logs import log
from fidtools.retriever.model_folder import save_tower
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import Tower

OWN_FIELDS = {
    "apply_passage_mask",
    "apply_question_mask",
    "architectures",
    "extract_cls",
    "gradient_checkpointing",
    "indexing_dimension",
    "passage_maxlength",
    "projection",
    "question_maxlength",
}


def convert(source: PathLike, target: PathLike, *, tokenizer: str | None = None) -> None:
    """Write the retriever of folder `source` to folder `target`.

    The checkpoints carry no tokenizer: `tokenizer` names one, by default the one in `source`, else bert-base-uncased,
    which the released models use. Raises DataError for a folder of another kind.
    """
    folder = Path(source)
    config, tensors = _read_config(folder), read_tensors(folder)
    encoder = encoder_from_tensors(config, tensors, folder)
    settings = settings_from_config(config)
    words = _load_tokenizer(folder, tokenizer)
    with atomic_folder(target) as out:
        save_tower(out, Tower(encoder, words, settings))
    log.info("%s: %s pooling, %d dimensions", target, settings.pooling, encoder.dim)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config: dict[str, Any] = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise DataError(f"malformed JSON: {error}", path=path) from error
    if "indexing_dimension" not in config:
        hint = "its config.json has `indexing_dimension` and `extract_cls`"
        raise DataError("not a retriever of the reference implementation", path=path, hint=hint)
    return config


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a folder, from safetensors or from a pickle of tensors only.

    Raises DataError for a pickle that holds anything else, FileNotFoundError when there is neither.
    """
    safe, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    if safe.exists():
        return load_file(safe)
    try:
        tensors: dict[str, torch.Tensor] = torch.load(pickled, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise DataError("holds more than tensors, and is not opened", path=pickled) from error
    return tensors


def encoder_from_tensors(
    config: dict[str, Any], tensors: dict[str, torch.Tensor], path: PathLike
) -> TransformerEncoder:
    """The encoder of a reference checkpoint. Raises DataError when weights are missing or left over."""
    from transformers import BertConfig, BertModel

    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "proj": {}, "norm": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if part not in parts:
            raise DataError("not a weight of a retriever", path=path, value=name)
        parts[part][rest] = value
    bert = BertConfig(**{key: value for key, value in config.items() if key not in OWN_FIELDS})
    model = BertModel(bert, add_pooling_layer=any(name.startswith("pooler.") for name in parts["model"]))
    projection = _projection(parts) if config.get("projection", True) else None
    try:
        parts["model"].pop("embeddings.position_ids", None)  # older checkpoints keep this constant
        model.load_state_dict(parts["model"])
    except RuntimeError as error:
        raise DataError(f"weights and config.json differ: {error}", path=path) from error
    return TransformerEncoder(model, settings_from_config(config).pooling, projection).eval()


def _projection(parts: dict[str, dict[str, torch.Tensor]]) -> TokenProjection:
    dim, hidden = parts["proj"]["weight"].shape
    projection = TokenProjection(hidden, dim)
    weights = {f"{part}.{name}": value for part in ("proj", "norm") for name, value in parts[part].items()}
    projection.load_state_dict(weights)
    return projection


def settings_from_config(config: dict[str, Any]) -> RetrieverSettings:
    """Pooling, lengths and masks of a reference checkpoint."""
    return RetrieverSettings(
        pooling="cls" if config.get("extract_cls") else "mean",
        question_maxlength=config.get("question_maxlength", 40),
        passage_maxlength=config.get("passage_maxlength", 200),
        pad_questions=not config.get("apply_question_mask", False),
        pad_passages=not config.get("apply_passage_mask", False),
    )


def _load_tokenizer(folder: Path, name: str | None) -> Any:
    from transformers import AutoTokenizer, BertTokenizer

    source = Path(name) if name is not None else folder
    with loading(source):
        if (source / "vocab.txt").exists():
            return BertTokenizer(vocab=str(source / "vocab.txt"))
        return AutoTokenizer.from_pretrained(resolve_model(name or "bert-base-uncased"))
