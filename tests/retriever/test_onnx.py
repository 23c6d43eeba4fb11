"""fidtools convert onnx: onnxruntime gives the retriever's vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fidtools.compute.batching import pad_sequences
from fidtools.encoders.word_encoders import new_word_encoder
from fidtools.encoders.word_tokenizer import PADDING, WordTokenizer
from fidtools.errors import UsageError
from fidtools.retriever.encoding import Retriever, load_retriever
from fidtools.retriever.onnx import export_onnx
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import Tower
from tests.retriever.test_folders import PASSAGES, projected, saved


@pytest.mark.parametrize(("pooling", "normalize"), [("cls", True), ("mean", False), ("max", False)])
def test_onnxruntime_gives_the_same_vectors(plain_model: Path, tmp_path: Path, pooling: str, normalize: bool) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    load = projected if pooling == "mean" else load_retriever
    retriever = load(plain_model, pooling=pooling, normalize=normalize)
    export_onnx(saved(retriever, tmp_path / "r"), tmp_path / "onnx")
    ids, mask = pad_sequences(retriever.tokenize_passages(PASSAGES), 0)
    session = runtime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    (found,) = session.run(["sentence_embedding"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    np.testing.assert_allclose(found, retriever.encode_passages(PASSAGES), rtol=1e-4, atol=1e-5)


def test_small_students_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    tower = Tower(
        new_word_encoder("cnn", torch.zeros(1, 4), 4), WordTokenizer([PADDING]), RetrieverSettings(pooling="max")
    )
    with pytest.raises(UsageError, match="an LSTM, CNN or static encoder cannot be exported to ONNX"):
        export_onnx(saved(Retriever(tower), tmp_path / "r"), tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
