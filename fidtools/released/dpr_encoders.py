"""Conversion of DPR's two encoders, as transformers keeps them, to one retriever folder.

DPR (Karpukhin et al., 2020) reads `[CLS] question [SEP]` and `[CLS] title [SEP] text [SEP]`; a text's vector is the
last hidden state of [CLS].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fidtools.compute.hub import resolve_model
from fidtools.compute.model_files import RETRIEVER
from fidtools.data.files import PathLike, atomic_folder
from fidtools.data.jsonl import read_json_object
from fidtools.data.outputs import refuse_foreign
from fidtools.encoders.transformer import TransformerEncoder
from fidtools.errors import DataError
from fidtools.logs import log
from fidtools.released.checkpoint_files import read_tensors
from fidtools.released.retrievers import bert_of, load_bert_tokenizer
from fidtools.retriever.encoding import Retriever
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import Tower

PARTS = {"question_encoder": "questions", "ctx_encoder": "passages"}
"""How the names of an encoder's weights begin, and what it encodes."""
SETTINGS = RetrieverSettings(
    question_format="{question}",
    passage_format="{title} [SEP] {text}",
    question_maxlength=256,
    passage_maxlength=256,
)


def convert_dpr(
    questions: str, passages: str, target: PathLike, *, tokenizer: str | None = None, force: bool = False
) -> None:
    """Make the retriever folder `target` of DPR's encoders of questions and of passages: folders, or names on the hub.

    `tokenizer` is a folder or hub name, by default that of each encoder. Raises UsageError when `target` holds other
    files (unless `force`), DataError for what is not such an encoder, or is the other one.
    """
    refuse_foreign(Path(target), RETRIEVER, force=force)
    towers = (_tower(questions, "question_encoder", tokenizer), _tower(passages, "ctx_encoder", tokenizer))
    retriever = Retriever(*towers)
    sizes = [tower.encoder.dim for tower in towers]
    if sizes[0] != sizes[1]:
        raise DataError(f"vectors of {sizes[1]} dimensions, of questions {sizes[0]}", path=passages)
    with atomic_folder(target, RETRIEVER, force=force) as out:
        retriever.save(out)
    log.info("%s: an encoder of questions and one of passages, %d dimensions", target, retriever.dim)


def _tower(source: str, part: str, tokenizer: str | None) -> Tower:
    folder = resolve_model(source)
    config = read_json_object(folder / "config.json")
    if config.get("model_type") != "dpr" or config.get("projection_dim"):
        hint = "its config.json has the model_type dpr and no projection_dim"
        raise DataError("not an encoder of DPR", path=source, hint=hint)
    encoder = _encoder(config, folder, part, source)
    return Tower(encoder, load_bert_tokenizer(folder, tokenizer, int(encoder.model.config.vocab_size)), SETTINGS)


def _encoder(config: dict[str, Any], folder: Path, part: str, source: str) -> TransformerEncoder:
    """The BERT in an encoder's folder. Raises DataError when it is the encoder of the other kind of text."""
    tensors = read_tensors(folder)
    found = next((known for known in PARTS if any(name.startswith(f"{known}.") for name in tensors)), part)
    if found != part:
        hint = "the encoder of questions comes first, then that of passages"
        raise DataError(f"an encoder of {PARTS[found]}, not of {PARTS[part]}", path=source, hint=hint)
    weights = {name.removeprefix(f"{part}.bert_model."): value for name, value in tensors.items()}
    return TransformerEncoder(bert_of(config, weights, source), SETTINGS.pooling).eval()
