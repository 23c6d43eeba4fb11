"""The files with which sentence-transformers loads a retriever folder, using only its own modules, to the same vectors.

A transformer is stored at the root, followed by pooling. A projection with its LayerNorm is written as three standard
modules: LN(x) = γ·√d·c/|c'| + β. Here c is x minus its mean, a linear map that is folded into the projection, and c' is
c with the constant √(d·ε) appended, so that its L2 norm is LayerNorm's √(d·(var + ε)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import orjson
import torch

from fidtools.data.jsonl import write_json
from fidtools.data.records import Passage
from fidtools.encoders.pooling import Pooling
from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.encoders.word_encoders import WordEncoder, WordLSTM
from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.retriever.module_list import LIBRARY, ModuleWriter, save_tensors
from fidtools.retriever.settings import RetrieverSettings

NO_ACTIVATION = "torch.nn.modules.linear.Identity"
POOLING_FLAGS: dict[Pooling, str] = {
    "cls": "cls_token",
    "mean": "mean_tokens",
    "max": "max_tokens",
    "last": "lasttoken",
    "weighted-mean": "weightedmean_tokens",
    "mean-sqrt": "mean_sqrt_len_tokens",
}
"""What follows `pooling_mode_` in the configuration of sentence-transformers' pooling before version 6."""
ALWAYS_WRITTEN: tuple[Pooling, ...] = ("cls", "mean", "max")
Prompts = Mapping[str, str]


def write_transformer_modules(
    folder: Path, encoder: TransformerEncoder, settings: RetrieverSettings, prompts: Prompts
) -> None:
    """Write the files of a transformer encoder whose model and tokenizer are already at the root of `folder`.

    `prompts` are the other prompts that the model came with.
    """
    modules = ModuleWriter(folder)
    root = modules.add("Transformer", root=True)
    limits = {"max_seq_length": settings.passage_maxlength, "do_lower_case": False}
    write_json(root / "sentence_bert_config.json", limits)
    if encoder.projection is not None:
        _write_projection(modules, encoder.projection)
    _write_pooling(modules, encoder.token_dim, settings)
    for layer in encoder.head.layers:
        modules.add_layer(layer)
    write_end(modules, settings, prompts)


def write_word_modules(
    folder: Path, encoder: WordEncoder, tokenizer: WordTokenizer, settings: RetrieverSettings
) -> None:
    """Write the files of an LSTM or CNN encoder, weights included."""
    modules = ModuleWriter(folder)
    _write_words(modules.add("WordEmbeddings"), encoder, tokenizer, settings.passage_maxlength)
    layers = encoder.layers
    if isinstance(layers, WordLSTM):
        rnn = layers.rnn
        shape = {"embedding_dimension": rnn.input_size, "hidden_dim": rnn.hidden_size, "num_layers": rnn.num_layers}
        path = modules.add("LSTM")
        write_json(path / "lstm_config.json", shape | {"dropout": rnn.dropout, "bidirectional": True})
        save_tensors(path, {f"encoder.{name}": value for name, value in rnn.state_dict().items()})
    else:
        first = layers.convs[0]
        shape = {"in_embedding_dimension": first.in_channels, "out_channels": first.out_channels}  # type: ignore[dict-item]
        path = modules.add("CNN")
        write_json(path / "cnn_config.json", shape | {"kernel_sizes": layers.widths, "stride_sizes": None})
        save_tensors(path, layers.state_dict())
    _write_pooling(modules, encoder.dim, settings)
    write_end(modules, settings, {})


def _write_words(path: Path, encoder: WordEncoder, tokenizer: WordTokenizer, maxlength: int) -> None:
    kind = f"{LIBRARY}.tokenizer.WhitespaceTokenizer"
    settings = {"tokenizer_class": kind, "update_embeddings": True, "max_seq_length": maxlength}
    write_json(path / "wordembedding_config.json", settings)
    words = {"vocab": tokenizer.vocabulary, "stop_words": [], "do_lower_case": True}
    (path / "whitespacetokenizer_config.json").write_bytes(orjson.dumps(words))
    save_tensors(path, {"emb_layer.weight": encoder.words.weight})


def _write_projection(modules: ModuleWriter, projection: TokenProjection) -> None:
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


def _write_dense(modules: ModuleWriter, weight: torch.Tensor, bias: torch.Tensor) -> None:
    path = modules.add("Dense")
    shape = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": True}
    on_tokens = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    write_json(path / "config.json", shape | {"activation_function": NO_ACTIVATION} | on_tokens)
    save_tensors(path, {"linear.weight": weight.float(), "linear.bias": bias.float()})


def _write_pooling(modules: ModuleWriter, dim: int, settings: RetrieverSettings) -> None:
    chosen = settings.pooling
    names = ("mean-sqrt", *ALWAYS_WRITTEN, *({chosen} - {"mean-sqrt", *ALWAYS_WRITTEN}))
    flags = {f"pooling_mode_{POOLING_FLAGS[name]}": name == chosen for name in names}
    write_json(modules.add("Pooling") / "config.json", {"word_embedding_dimension": dim} | flags)


def write_end(modules: ModuleWriter, settings: RetrieverSettings, prompts: Prompts) -> None:
    """The last module, if any, and the files about all of them."""
    if settings.normalize:
        modules.add("Normalize")
    modules.write()
    similarity = "cosine" if settings.normalize else "dot"
    about = {"prompts": _prompts(settings, prompts), "default_prompt_name": None, "similarity_fn_name": similarity}
    write_json(modules.folder / "config_sentence_transformers.json", about)


def _prompts(settings: RetrieverSettings, others: Prompts) -> dict[str, str]:
    """The prompts by name. None is `query` where text follows the question: the library only puts text before it."""
    found = dict(others) | {"document": settings.passage_text(Passage("", "", ""))}
    found.pop("query", None)
    if settings.question_format.endswith("{question}"):
        found["query"] = settings.question_text("")
    return found
