"""The files with which sentence-transformers loads a retriever folder, using only its own modules, to the same vectors.

A transformer is stored at the root, followed by pooling. A projection with its LayerNorm is written as three standard
modules: LN(x) = γ·√d·c/|c'| + β. Here c is x minus its mean, a linear map that is folded into the projection, and c' is
c with the constant √(d·ε) appended, so that its L2 norm is LayerNorm's √(d·(var + ε)).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import orjson
import torch
from safetensors.torch import save_file

from fidtools.data.jsonl import read_json_object, write_json
from fidtools.encoders.pooling import Pooling
from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.encoders.word_encoders import WordEncoder, WordLSTM
from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.errors import DataError, FidtoolsError
from fidtools.retriever.settings import RetrieverSettings, parse_settings

LIBRARY = "sentence_transformers.models"
OLD_TRANSFORMERS = {"BERT", "RoBERTa", "DistilBERT", "ALBERT", "CamemBERT", "XLMRoBERTa", "T5", "XLNet"}
DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""The names under which sentence-transformers looks for the prompt of documents, in order."""
UNLIMITED = 1 << 20
"""A length in tokens that stands for as many as the model reads."""
NO_ACTIVATION = "torch.nn.modules.linear.Identity"


class _ModuleList:
    """The modules of a folder in order, as in `modules.json`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.entries = folder, list[dict[str, Any]]()

    def add(self, name: str, *, root: bool = False) -> Path:
        """The new folder of another module, or the root itself."""
        number = len(self.entries)
        path = "" if root else f"{number}_{name}"
        self.entries.append({"idx": number, "name": str(number), "path": path, "type": f"{LIBRARY}.{name}"})
        (self.folder / path).mkdir(exist_ok=True)
        return self.folder / path

    def write(self) -> None:
        write_json(self.folder / "modules.json", self.entries)


def write_transformer_modules(folder: Path, encoder: TransformerEncoder, settings: RetrieverSettings) -> None:
    """Write the files of a transformer encoder whose model and tokenizer are already at the root of `folder`."""
    modules = _ModuleList(folder)
    root = modules.add("Transformer", root=True)
    limits = {"max_seq_length": settings.passage_maxlength, "do_lower_case": False}
    write_json(root / "sentence_bert_config.json", limits)
    if encoder.projection is not None:
        _write_projection(modules, encoder.projection)
    _write_pooling(modules, encoder.dim, settings)


def write_word_modules(
    folder: Path, encoder: WordEncoder, tokenizer: WordTokenizer, settings: RetrieverSettings
) -> None:
    """Write the files of an LSTM or CNN encoder, weights included."""
    modules = _ModuleList(folder)
    _write_words(modules.add("WordEmbeddings"), encoder, tokenizer, settings.passage_maxlength)
    layers = encoder.layers
    if isinstance(layers, WordLSTM):
        rnn = layers.rnn
        shape = {"embedding_dimension": rnn.input_size, "hidden_dim": rnn.hidden_size, "num_layers": rnn.num_layers}
        path = modules.add("LSTM")
        write_json(path / "lstm_config.json", shape | {"dropout": rnn.dropout, "bidirectional": True})
        _save(path, {f"encoder.{name}": value for name, value in rnn.state_dict().items()})
    else:
        first = layers.convs[0]
        shape = {"in_embedding_dimension": first.in_channels, "out_channels": first.out_channels}  # type: ignore[dict-item]
        path = modules.add("CNN")
        write_json(path / "cnn_config.json", shape | {"kernel_sizes": layers.widths, "stride_sizes": None})
        _save(path, layers.state_dict())
    _write_pooling(modules, encoder.dim, settings)


def _write_words(path: Path, encoder: WordEncoder, tokenizer: WordTokenizer, maxlength: int) -> None:
    kind = f"{LIBRARY}.tokenizer.WhitespaceTokenizer"
    settings = {"tokenizer_class": kind, "update_embeddings": True, "max_seq_length": maxlength}
    write_json(path / "wordembedding_config.json", settings)
    words = {"vocab": tokenizer.vocabulary, "stop_words": [], "do_lower_case": True}
    (path / "whitespacetokenizer_config.json").write_bytes(orjson.dumps(words))
    _save(path, {"emb_layer.weight": encoder.words.weight})


def _write_projection(modules: _ModuleList, projection: TokenProjection) -> None:
    proj, norm = projection.proj, projection.norm
    dim, hidden = proj.out_features, proj.in_features
    weight, bias = proj.weight.double(), proj.bias.double()
    centred = torch.cat([weight - weight.mean(dim=0), weight.new_zeros(1, hidden)])  # (d + 1, hidden)
    offset = torch.cat([bias - bias.mean(), bias.new_full((1,), math.sqrt(dim * norm.eps))])  # (d + 1,)
    _write_dense(modules, centred, offset)
    on_tokens = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    write_json(modules.add("Normalize") / "config.json", on_tokens)
    scaled = torch.cat([torch.diag(norm.weight.double() * math.sqrt(dim)), weight.new_zeros(dim, 1)], dim=1)
    _write_dense(modules, scaled, norm.bias.double())


def _write_dense(modules: _ModuleList, weight: torch.Tensor, bias: torch.Tensor) -> None:
    path = modules.add("Dense")
    shape = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": True}
    on_tokens = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    write_json(path / "config.json", shape | {"activation_function": NO_ACTIVATION} | on_tokens)
    _save(path, {"linear.weight": weight.float(), "linear.bias": bias.float()})


def _write_pooling(modules: _ModuleList, dim: int, settings: RetrieverSettings) -> None:
    chosen = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    flags = {f"pooling_mode_{name}": how == settings.pooling for how, name in chosen.items()}
    pooling = {"word_embedding_dimension": dim, "pooling_mode_mean_sqrt_len_tokens": False} | flags
    write_json(modules.add("Pooling") / "config.json", pooling)
    if settings.normalize:
        modules.add("Normalize")
    modules.write()
    prompts = {"query": settings.question_text(""), "document": settings.passage_format.format(title="", text="")}
    similarity = "cosine" if settings.normalize else "dot"
    about = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": similarity}
    write_json(modules.folder / "config_sentence_transformers.json", about)


def _save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, path / "model.safetensors")


def read_sentence_transformers(folder: Path) -> tuple[Path, RetrieverSettings, bool]:
    """What a folder that sentence-transformers wrote says: the transformer's folder, the settings, and do_lower_case.

    In old folders the transformer is in `0_Transformer`. Without `max_seq_length` the lengths are UNLIMITED: those of
    the model. Raises FidtoolsError when it has modules other than a transformer, pooling and normalization.
    """
    modules = orjson.loads((folder / "modules.json").read_bytes())
    paths = {_module_kind(entry["type"]): folder / entry["path"] for entry in modules}
    if unknown := paths.keys() - {"Transformer", "Pooling", "Normalize"}:
        hint = "only a transformer with pooling and optional normalization can be loaded"
        raise FidtoolsError(f"{folder}: unsupported module: {', '.join(sorted(unknown))}", hint=hint)
    if missing := [name for name in ("Transformer", "Pooling") if name not in paths]:
        raise FidtoolsError(f"{folder}: no {missing[0].lower()} module in modules.json")
    limits = _transformer_settings(paths["Transformer"])
    length = limits.get("max_seq_length") or UNLIMITED
    about = folder / "config_sentence_transformers.json"
    prompts = (read_json_object(about).get("prompts") or {}) if about.exists() else {}
    document = next((prompts[name] for name in DOCUMENT_PROMPTS if prompts.get(name)), None)
    settings = RetrieverSettings(
        pooling=_read_pooling(paths["Pooling"] / "config.json", with_prompts=any(prompts.values())),
        normalize="Normalize" in paths,
        question_format=_escape_braces(prompts.get("query")) + "{question}",
        passage_format=_escape_braces(document) + "{title} {text}",
        question_maxlength=length,
        passage_maxlength=length,
    )
    return paths["Transformer"], parse_settings(settings.to_json(), folder), bool(limits.get("do_lower_case"))


def _module_kind(kind: str) -> str:
    """The module's name; old folders name the transformer's architecture."""
    name = kind.rsplit(".", 1)[-1]
    return "Transformer" if name in OLD_TRANSFORMERS else name


def _transformer_settings(folder: Path) -> dict[str, Any]:
    """The settings beside a transformer: `sentence_bert_config.json`, in old folders of another architecture's name."""
    files = sorted(folder.glob("sentence_*_config.json"), key=lambda path: path.name != "sentence_bert_config.json")
    return read_json_object(files[0]) if files else {}


def _escape_braces(prompt: str | None) -> str:
    return (prompt or "").replace("{", "{{").replace("}", "}}")


def _read_pooling(path: Path, *, with_prompts: bool) -> Pooling:
    config = read_json_object(path)
    if with_prompts and config.get("include_prompt") is False:
        raise DataError("unsupported pooling: the prompt's tokens are left out", path=path, field="include_prompt")
    flags = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    chosen = config.get("pooling_mode") or [how for how, name in flags.items() if config.get(f"pooling_mode_{name}")]
    names = [chosen] if isinstance(chosen, str) else list(chosen)
    if len(names) != 1 or names[0] not in flags:
        raise DataError("unsupported pooling: must be cls, mean or max", path=path, value=names)
    return cast(Pooling, names[0])
