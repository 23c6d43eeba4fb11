"""The files of a static encoder: token vectors and tokenizer, as sentence-transformers' StaticEmbedding keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file

from fidtools.encoders.sentence_layers import Layer
from fidtools.encoders.static_encoder import StaticEncoder, StaticTokenizer, fold_vectors
from fidtools.errors import DataError, FidtoolsError
from fidtools.retriever.foreign_folder import UNLIMITED
from fidtools.retriever.module_list import WEIGHTS, ModuleWriter, save_tensors
from fidtools.retriever.sentence_transformers import Prompts, write_end
from fidtools.retriever.settings import RetrieverSettings


def write_static_modules(
    folder: Path, encoder: StaticEncoder, tokenizer: StaticTokenizer, settings: RetrieverSettings, prompts: Prompts
) -> None:
    """Write the files of a static encoder, weights included. The tokenizer cuts texts at the passages' maximum."""
    modules = ModuleWriter(folder)
    path = modules.add("StaticEmbedding")
    save_tensors(path, {"embedding.weight": encoder.tokens.weight})
    if settings.passage_maxlength < UNLIMITED:
        tokenizer.backend_tokenizer.enable_truncation(settings.passage_maxlength)
    tokenizer.backend_tokenizer.save(str(path / "tokenizer.json"))
    tokenizer.backend_tokenizer.no_truncation()
    for layer in encoder.head.layers:
        modules.add_layer(layer)
    write_end(modules, settings, prompts)


def read_static(folder: Path, layers: Sequence[Layer]) -> tuple[StaticEncoder, StaticTokenizer, int]:
    """The encoder of a module's folder, its tokenizer, and the most tokens of a text (UNLIMITED where all count).

    Raises DataError when a file is missing, or when the tokenizer has more tokens than there are vectors.
    """
    from tokenizers import Tokenizer

    for file in ("tokenizer.json", WEIGHTS):
        if not (folder / file).exists():
            raise DataError(f"no {file} in it", path=folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    cut = tokenizer.truncation or {"max_length": UNLIMITED, "direction": "right"}
    if cut["direction"] != "right":
        raise DataError("unsupported", path=folder / "tokenizer.json", field="truncation.direction")
    try:
        vectors = fold_vectors(load_file(folder / WEIGHTS))
    except KeyError as error:
        raise DataError("no token vectors in it", path=folder / WEIGHTS) from error
    most = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if vectors.dim() != 2 or most > len(vectors):
        raise FidtoolsError(f"{folder}: the tokenizer has {most:,} tokens, the model {len(vectors):,} vectors")
    if not vectors.isfinite().all():
        raise DataError("token vectors that are infinite or not numbers", path=folder / WEIGHTS)
    return StaticEncoder(vectors, layers), StaticTokenizer(tokenizer), int(cut["max_length"])
