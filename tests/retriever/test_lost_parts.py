"""A retriever folder of which something was lost on the way is refused: what is left would give other vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import DPRConfig, DPRContextEncoder, DPRQuestionEncoder

from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.errors import DataError, FidtoolsError, UsageError
from fidtools.retriever.encoding import Retriever, load_retriever
from fidtools.retriever.module_list import Module, layers_after_pooling
from fidtools.retriever.tower import Tower
from tests.models import bert_folder, bert_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two encoders with a projection each."""
    towers = []
    for seed in (0, 1):
        plain = load_retriever(bert_folder(tmp_path / f"bert{seed}", seed=seed)).question_tower
        assert isinstance(plain.encoder, TransformerEncoder)
        encoder = TransformerEncoder(plain.encoder.model, "mean", TokenProjection(16, 8)).eval()
        towers.append(Tower(encoder, plain.tokenizer, plain.settings))
    (tmp_path / "r").mkdir()
    Retriever(*towers).save(tmp_path / "r")
    return tmp_path / "r"


def test_a_whole_folder_is_read(folder: Path) -> None:
    retriever = load_retriever(folder)
    assert (retriever.dim, retriever.passage_tower is retriever.question_tower) == (8, False)


@pytest.mark.parametrize(
    "part", ["passages", "projection.safetensors", "modules.json", "passages/projection.safetensors"]
)
def test_a_missing_part_is_named(part: str, folder: Path) -> None:
    lost = folder / part
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.raises(DataError, match=f"{lost.parent.name}: {lost.name} is missing, which retriever.json names"):
        load_retriever(folder)


@pytest.mark.parametrize("kind", [DPRQuestionEncoder, DPRContextEncoder])
def test_encoders_of_dpr_are_refused_in_words(kind: type, tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    kind(DPRConfig(vocab_size=68, max_position_embeddings=64, **sizes)).save_pretrained(tmp_path)
    bert_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="one of the two encoders of DPR"):
        load_retriever(tmp_path)


def test_pooling_without_the_list_of_modules_is_refused(tmp_path: Path) -> None:
    bert_folder(tmp_path)
    (tmp_path / "1_Pooling").mkdir()
    with pytest.raises(DataError, match="no modules.json in it, which says what 1_Pooling is for"):
        load_retriever(tmp_path)


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    path = bert_folder(tmp_path) / "model.safetensors"
    tensors = load_file(path)
    name = "encoder.layer.0.output.dense.weight"
    save_file(tensors | {name: (10 * tensors[name]).to(torch.int8)}, path, metadata={"format": "pt"})
    with pytest.raises(FidtoolsError, match=f"{name} in model.safetensors is of type I8: quantized weights"):
        load_retriever(tmp_path)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_pointer_in_the_place_of_weights_is_named(file: str, tmp_path: Path) -> None:
    (bert_folder(tmp_path) / "model.safetensors").unlink()
    (tmp_path / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    with pytest.raises(FidtoolsError, match=f"{file} is a pointer of Git LFS"):
        load_retriever(tmp_path)


def test_a_pickle_that_was_cut_off_is_named(tmp_path: Path) -> None:
    path = bert_folder(tmp_path) / "model.safetensors"
    torch.save(load_file(path), tmp_path / "pytorch_model.bin")
    path.unlink()
    assert load_retriever(tmp_path).dim == 16
    whole = (tmp_path / "pytorch_model.bin").read_bytes()
    (tmp_path / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FidtoolsError, match="cannot load the model: pytorch_model.bin is truncated"):
        load_retriever(tmp_path)


def test_a_dense_layer_of_other_objects_is_named(tmp_path: Path) -> None:
    dense = tmp_path / "2_Dense"
    dense.mkdir()
    (dense / "config.json").write_text('{"in_features": 2, "out_features": 2}')
    torch.save({"model": {"linear.weight": torch.ones(2, 2)}}, dense / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"pytorch_model.bin: expected a dictionary of tensors"):
        layers_after_pooling([Module("Dense", dense)])
