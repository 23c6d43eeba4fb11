"""Export of a transformer retriever to ONNX: token ids and mask in, vectors out, checked against the model."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fidtools.compute.batching import padding_id
from fidtools.compute.model_files import ONNX
from fidtools.compute.tokenizers import save_tokenizer
from fidtools.data.files import PathLike, atomic_folder
from fidtools.data.jsonl import write_json
from fidtools.data.outputs import refuse_foreign
from fidtools.encoders.transformer import TransformerEncoder
from fidtools.errors import FidtoolsError, MissingExtraError, UsageError
from fidtools.logs import log
from fidtools.retriever.encoding import Retriever, load_retriever, normalized
from fidtools.retriever.settings import RetrieverSettings

OPSET = 18
TOLERANCE = 1e-4
MAX_EMBEDDED_PARAMETERS = 400_000_000
"""The most parameters that are stored in the graph's own file, which must stay below 2 GB."""


class _EncoderWithNormalization(nn.Module):
    """Encoder, pooling and normalization as one module."""

    def __init__(self, encoder: TransformerEncoder, settings: RetrieverSettings) -> None:
        super().__init__()
        self.encoder, self.settings = encoder, settings

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return normalized(self.encoder.with_mask(input_ids, attention_mask), self.settings)


def export_onnx(source: PathLike, target: PathLike, *, force: bool = False) -> None:
    """Write `model.onnx`, the tokenizer and `retriever.json` of the retriever `source` to the folder `target`.

    The inputs are `input_ids` and `attention_mask`, (n, l) int64; the output is `sentence_embedding`, (n, d) float32. A
    retriever with a separate passage encoder gets a second graph, `passages.onnx`. Raises UsageError for other
    encoders and for a folder with other files (unless `force`), FidtoolsError when the relative difference of
    onnxruntime's vectors from the model's exceeds 1e-4.
    """
    if not all(importlib.util.find_spec(package) for package in ("onnx", "onnxruntime", "onnxscript")):
        raise MissingExtraError("converting to ONNX", "onnx")
    refuse_foreign(Path(target), ONNX, force=force)
    retriever = load_retriever(source)
    with atomic_folder(target, ONNX, force=force) as folder:
        towers = {"model.onnx": retriever.question_tower}
        if retriever.passage_tower is not retriever.question_tower:
            towers["passages.onnx"] = retriever.passage_tower
        for name, tower in towers.items():
            encoder = tower.encoder
            if not isinstance(encoder, TransformerEncoder):
                raise UsageError(f"{source}: an LSTM, CNN or static encoder cannot be exported to ONNX")
            _export(_EncoderWithNormalization(encoder, tower.settings).eval(), folder / name)
            difference = largest_difference(retriever, encoder, folder / name)
            if difference > TOLERANCE:
                raise FidtoolsError(f"{source}: onnxruntime's vectors differ from the model's by {difference:.2g}")
            save_tokenizer(tower.tokenizer, folder)
        write_json(folder / "retriever.json", retriever.settings.to_json())
    log.info("%s: largest relative difference of onnxruntime's vectors: %.1g", target, difference)


def _export(model: nn.Module, path: Path) -> None:
    ids = torch.ones(2, 7, dtype=torch.long)
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[1, 5:] = 0
    sizes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens", max=4096)}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of deprecations in its own code
        torch.onnx.export(
            model,
            (ids, mask),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["sentence_embedding"],
            dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
            opset_version=OPSET,
            external_data=sum(p.numel() for p in model.parameters()) > MAX_EMBEDDED_PARAMETERS,
            dynamo=True,
            verbose=False,
        )


def largest_difference(retriever: Retriever, encoder: TransformerEncoder, path: Path) -> float:
    """The largest difference of onnxruntime's vectors from the model's, relative to the largest component."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    vocabulary = encoder.model.config.vocab_size
    worst = 0.0
    for texts, tokens in ((1, 3), (3, 9), (5, 31)):
        ids = torch.randint(0, vocabulary, (texts, tokens), generator=generator)
        mask = (torch.arange(tokens) < torch.linspace(2, tokens, texts).round()[:, None]).long()
        ids = ids.masked_fill(mask == 0, padding_id(retriever.question_tower.tokenizer))
        with torch.inference_mode():
            expected = normalized(encoder(ids, mask), retriever.settings).numpy()
        (found,) = session.run(["sentence_embedding"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
    return worst
