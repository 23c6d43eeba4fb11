"""Conversion of released Fusion-in-Decoder readers (`nq_reader_base`, …) to folders that `transformers` loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fidtools.compute.hub import loading
from fidtools.compute.loading import check_size
from fidtools.compute.model_files import READER
from fidtools.data.files import atomic_folder
from fidtools.data.jsonl import read_json_object
from fidtools.data.outputs import refuse_foreign
from fidtools.errors import DataError
from fidtools.reader.prompt import ReaderSettings
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import reader_from_model
from fidtools.released.checkpoint_files import fill, load_tokenizer, read_tensors

CROSS_BIAS = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
DEFAULT_TOKENIZER = "google-t5/t5-base"
T5_FIELDS = {
    *("d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "vocab_size", "dropout_rate"),
    *("relative_attention_num_buckets", "layer_norm_epsilon", "initializer_factor", "feed_forward_proj"),
    *("pad_token_id", "eos_token_id", "decoder_start_token_id", "is_encoder_decoder", "tie_word_embeddings"),
}
"""The fields that define a T5. Old configurations also hold generation settings and defaults of their time."""


def convert_reader(
    source: str | Path, target: str | Path, tokenizer: str | Path | None = None, *, force: bool = False
) -> None:
    """Convert the released reader in folder `source` to the reader folder `target`.

    Released readers have no tokenizer: `tokenizer` is a folder or hub name, by default the tokenizer in `source`, else
    T5's. Raises UsageError when `target` holds other files (unless `force`), DataError when `source` is not such a
    checkpoint, or a pickle contains objects other than tensors.
    """
    refuse_foreign(Path(target), READER, force=force)
    source = Path(source)
    model, bias = _released_model(source)
    reader = reader_from_model(
        model, _load_tokenizer(source, tokenizer, model.config.vocab_size), ReaderSettings(), bias
    )
    with atomic_folder(target, READER, force=force) as folder:
        reader.save(folder)


def load_released_reader(source: Path, tokenizer: Any) -> Reader:
    """The reader of a released checkpoint's folder, with the cross-attention bias that it was trained with."""
    model, bias = _released_model(source)
    return reader_from_model(model, tokenizer, ReaderSettings(), bias)


def _released_model(source: Path) -> tuple[Any, nn.Embedding | None]:
    from transformers import AutoModelForSeq2SeqLM, T5Config, T5ForConditionalGeneration

    fields, tensors = _t5_config(source), rename_tensors(read_tensors(source))
    with loading(source):
        config = T5Config.from_dict(fields)
        check_size(source, source, AutoModelForSeq2SeqLM, config)
        model: Any = T5ForConditionalGeneration(config)
    if fields.get("tie_word_embeddings") is False:
        _untie(model)
    bias = tensors.pop(CROSS_BIAS, None)
    shape = (config.relative_attention_num_buckets, config.num_heads)
    if bias is not None and tuple(bias.shape) != shape:
        sizes = f"{tuple(bias.shape)} instead of {shape}"
        raise DataError(f"the weights do not fit config.json, such as {CROSS_BIAS}: {sizes}", path=source)
    fill(model, tensors, source)
    model.eval()
    return model, None if bias is None else nn.Embedding(bias.shape[0], bias.shape[1], _weight=bias.float())


def _untie(model: Any) -> None:
    """Give the output layer weights of its own, as Flan-T5 has; a new model of transformers shares them always."""
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    del model.all_tied_weights_keys["lm_head.weight"]


def rename_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under T5's names: the reference implementation wraps the encoder twice and each of its blocks once."""
    return {name.replace("encoder.encoder.", "encoder.").replace(".module.", "."): t for name, t in tensors.items()}


def _load_tokenizer(source: Path, name: str | Path | None, rows: int) -> Any:
    from transformers import T5Tokenizer

    def from_vocabulary(folder: Path) -> Any:
        return T5Tokenizer.from_pretrained(folder, local_files_only=True)

    vocabulary = "spiece.model"
    return load_tokenizer(
        source, name, vocabulary=vocabulary, from_vocabulary=from_vocabulary, default=DEFAULT_TOKENIZER, rows=rows
    )


def _t5_config(folder: Path) -> dict[str, Any]:
    config = read_json_object(folder / "config.json")
    if config.get("model_type") != "t5":
        raise DataError("not the configuration of a T5 reader", path=folder / "config.json", field="model_type")
    return {key: value for key, value in config.items() if key in T5_FIELDS}
