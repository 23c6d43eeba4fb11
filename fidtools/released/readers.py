"""Released Fusion-in-Decoder readers (`nq_reader_base`, …) turned into folders that `transformers` loads."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fidtools.compute.hub import loading, resolve_model
from fidtools.data.files import atomic_folder
from fidtools.errors import DataError
from fidtools.reader.model import Reader, reader_from_model
from fidtools.reader.prompt import ReaderSettings

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
CROSS_BIAS = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
TOKENIZER = "google-t5/t5-base"


def convert(source: str | Path, target: str | Path, tokenizer: str | Path | None = None) -> None:
    """Write the released reader in folder `source` as a plain reader folder.

    The reference keeps no tokenizer beside its readers: `tokenizer` names one; without it the folder's own is taken
    when it has one, else T5's. Raises DataError for what is no such checkpoint, or a pickle with more than tensors.
    """
    source = Path(source)
    model, bias = _released_model(source)
    reader = reader_from_model(model, load_tokenizer(source, tokenizer), ReaderSettings(), bias)
    with atomic_folder(target) as folder:
        reader.save(folder)


def released_reader(source: Path, tokenizer: Any) -> Reader:
    """The reader in a released checkpoint's folder, with the cross-attention bias that it was trained with."""
    model, bias = _released_model(source)
    return reader_from_model(model, tokenizer, ReaderSettings(), bias)


def _released_model(source: Path) -> tuple[Any, nn.Embedding | None]:
    from transformers import T5Config, T5ForConditionalGeneration

    tensors = plain_names(read_tensors(source))
    bias = tensors.pop(CROSS_BIAS, None)
    model: Any = T5ForConditionalGeneration(T5Config.from_dict(_config(source)))
    missing, unknown = model.load_state_dict(tensors, strict=False)
    tied = set(model.all_tied_weights_keys)
    if unknown or set(missing) - tied:
        wrong = f"unknown {unknown[:3]}" if unknown else f"missing {sorted(set(missing) - tied)[:3]}"
        raise DataError(f"not a T5 reader, weights do not fit: {wrong}", path=source)
    model.eval()
    return model, None if bias is None else nn.Embedding(bias.shape[0], bias.shape[1], _weight=bias.float())


def plain_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under T5's own names: the reference wraps the encoder twice and each of its blocks once."""
    return {name.replace("encoder.encoder.", "encoder.").replace(".module.", "."): t for name, t in tensors.items()}


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint folder, from safetensors or from a pickle that holds nothing else.

    Raises DataError when there is neither, or when the pickle asks for anything beyond tensors; nothing of it is run.
    """
    path = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"no checkpoint in it: neither {' nor '.join(WEIGHT_FILES)}", path=folder)
    if path.suffix == ".safetensors":
        with loading(path):
            return load_file(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        hint = "a pickle can run code when it is read, so only plain tensors are"
        raise DataError("not a file of tensors only", path=path, hint=hint) from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise DataError("expected tensors by name", path=path, value=type(found).__name__)
    return found


def load_tokenizer(source: Path, name: str | Path | None) -> Any:
    """The tokenizer named, else the one in the checkpoint's folder, else T5's."""
    from transformers import AutoTokenizer, T5Tokenizer

    own = any((source / file).is_file() for file in ("tokenizer.json", "spiece.model"))
    chosen = str(name) if name is not None else str(source) if own else TOKENIZER
    with loading(chosen):
        if (Path(chosen) / "spiece.model").is_file():
            return T5Tokenizer.from_pretrained(chosen)
        return AutoTokenizer.from_pretrained(chosen if Path(chosen).is_dir() else resolve_model(chosen))


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise DataError(f"malformed JSON: {error}", path=path) from error
    if not isinstance(config, dict) or config.get("model_type") != "t5":
        raise DataError("not the configuration of a T5 reader", path=path, field="model_type")
    return {key: value for key, value in config.items() if key in _KEPT}


_KEPT = {
    *("d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "vocab_size", "dropout_rate"),
    *("relative_attention_num_buckets", "layer_norm_epsilon", "initializer_factor", "feed_forward_proj"),
    *("pad_token_id", "eos_token_id", "decoder_start_token_id", "is_encoder_decoder"),
}
"""What makes a T5; the rest of an old configuration is generation settings and defaults of its time."""
