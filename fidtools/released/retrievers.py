"""Conversion of retrievers trained by the reference implementation to retriever folders.

Such a folder holds `config.json` (BERT's, with the retriever's own fields) and `pytorch_model.bin` or
`model.safetensors`, whose tensor names start with `model.`, `proj.` and `norm.`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fidtools.compute.hub import loading
from fidtools.compute.model_files import RETRIEVER
from fidtools.data.files import PathLike, atomic_folder
from fidtools.data.jsonl import read_json_object
from fidtools.data.outputs import refuse_foreign
from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.errors import DataError
from fidtools.logs import log
from fidtools.released.checkpoint_files import fill, load_tokenizer, read_tensors
from fidtools.retriever.model_folder import save_tower
from fidtools.retriever.settings import RetrieverSettings, parse_settings
from fidtools.retriever.tower import Tower

DEFAULT_TOKENIZER = "bert-base-uncased"
"""What the released retrievers use."""

RETRIEVER_FIELDS = {
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
"""Fields of the configuration that are the retriever's and not BERT's."""


def convert_retriever(source: PathLike, target: PathLike, *, tokenizer: str | None = None, force: bool = False) -> None:
    """Convert the retriever in folder `source` to the retriever folder `target`.

    Released retrievers have no tokenizer: `tokenizer` is a folder or hub name, by default the tokenizer in `source`,
    else bert-base-uncased. Raises UsageError when `target` holds other files (unless `force`), DataError when `source`
    is not such a checkpoint, or a pickle contains objects other than tensors.
    """
    refuse_foreign(Path(target), RETRIEVER, force=force)
    folder = Path(source)
    config = _retriever_config(folder)
    encoder = encoder_from_tensors(config, read_tensors(folder), folder)
    settings = settings_from_config(config, folder)
    tower = Tower(encoder, load_bert_tokenizer(folder, tokenizer, encoder.model.config.vocab_size), settings)
    with atomic_folder(target, RETRIEVER, force=force) as out:
        save_tower(out, tower)
    log.info("%s: %s pooling, %d dimensions", target, settings.pooling, encoder.dim)


def _retriever_config(folder: Path) -> dict[str, Any]:
    config = read_json_object(folder / "config.json")
    if "indexing_dimension" not in config:
        hint = "its config.json has `indexing_dimension`; --retriever takes other encoders (Contriever) as they are"
        raise DataError("not a retriever of the reference implementation", path=folder / "config.json", hint=hint)
    return config


def encoder_from_tensors(
    config: dict[str, Any], tensors: dict[str, torch.Tensor], path: PathLike
) -> TransformerEncoder:
    """The encoder of a reference checkpoint. Raises DataError for missing or unexpected weights."""
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "proj": {}, "norm": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if part not in parts:
            raise DataError("unexpected weight: not one of a retriever", path=path, value=name)
        parts[part][rest] = value
    model = bert_of(config, parts["model"], path)
    projection = _projection(config, parts, model.config.hidden_size, path)
    return TransformerEncoder(model, settings_from_config(config, path).pooling, projection).eval()


def bert_of(config: dict[str, Any], tensors: dict[str, torch.Tensor], path: PathLike) -> Any:
    """The BERT of a checkpoint's configuration and weights. Raises DataError where they do not fit each other."""
    from transformers import BertConfig, BertModel

    with loading(path):
        bert = BertConfig(**{key: value for key, value in config.items() if key not in RETRIEVER_FIELDS})
        model = BertModel(bert, add_pooling_layer=any(name.startswith("pooler.") for name in tensors))
    constants = {"embeddings.position_ids"}  # which older checkpoints store
    fill(model, {name: value for name, value in tensors.items() if name not in constants}, path)
    return model


def _projection(
    config: dict[str, Any], parts: dict[str, dict[str, torch.Tensor]], hidden: int, path: PathLike
) -> TokenProjection | None:
    weights = {f"{part}.{name}": value for part in ("proj", "norm") for name, value in parts[part].items()}
    if not _flag(config, "projection", path, default=True):
        if weights:
            log.warning("%s: config.json has no projection, whose weights are not used", path)
        return None
    with loading(path):
        projection = TokenProjection(hidden, config["indexing_dimension"])
    fill(projection, weights, path)
    return projection


def settings_from_config(config: dict[str, Any], path: PathLike) -> RetrieverSettings:
    """The settings in the configuration of a reference checkpoint. Raises DataError for values of another type."""
    settings = RetrieverSettings(
        pooling="cls" if _flag(config, "extract_cls", path, default=False) else "mean",
        question_maxlength=config.get("question_maxlength", 40),
        passage_maxlength=config.get("passage_maxlength", 200),
        pad_questions=not _flag(config, "apply_question_mask", path, default=False),
        pad_passages=not _flag(config, "apply_passage_mask", path, default=False),
    )
    return parse_settings(settings.to_json(), Path(path) / "config.json")


def _flag(config: dict[str, Any], name: str, path: PathLike, *, default: bool) -> bool:
    value = config.get(name, default)
    if not isinstance(value, bool):
        raise DataError("must be true or false", path=Path(path) / "config.json", field=name, value=value)
    return value


def load_bert_tokenizer(source: Path, name: str | Path | None, rows: int) -> Any:
    """The tokenizer `name`, else that of the checkpoint's folder, else bert-base-uncased, for `rows` token vectors."""
    from transformers import BertTokenizer

    def from_vocabulary(folder: Path) -> Any:
        vocabulary = folder / "vocab.txt"
        return BertTokenizer(vocab=str(vocabulary), do_lower_case=not _is_cased(vocabulary))

    return load_tokenizer(
        source, name, vocabulary="vocab.txt", from_vocabulary=from_vocabulary, default=DEFAULT_TOKENIZER, rows=rows
    )


def _is_cased(vocabulary: Path) -> bool:
    """Whether words of a BERT vocabulary have capital letters; `[CLS]` and the like are no words."""
    words = vocabulary.read_text("utf-8").split("\n")
    return any(word != word.lower() for word in words if not word.startswith("["))
