"""Checkpoints of the reference implementation that are not whole, or whose parts do not belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fidtools.errors import DataError, FidtoolsError
from fidtools.reader.reader_folder import load_reader
from fidtools.released.readers import CROSS_BIAS, convert_reader
from fidtools.released.retrievers import convert_retriever
from tests import GOLDEN
from tests.models import SPECIAL, word_tokenizer

Tensors = dict[str, Tensor]
PROJECTED = "proj_mean"


def reader_checkpoint(folder: Path, edit: Callable[[Tensors], Tensors], **config: Any) -> Path:
    folder.mkdir()
    known = orjson.loads((GOLDEN / "fid_tiny_config.json").read_bytes())
    (folder / "config.json").write_bytes(orjson.dumps(known | config))
    save_file(edit(load_file(GOLDEN / "fid_tiny_reference.safetensors")), folder / "model.safetensors")
    word_tokenizer([*SPECIAL, *(f"t{i}" for i in range(4, 200))]).save_pretrained(folder)
    return folder


def retriever_checkpoint(folder: Path, edit: Callable[[Tensors], Tensors], **config: Any) -> Path:
    folder.mkdir()
    known = orjson.loads((GOLDEN / "retriever_tiny_config.json").read_bytes())
    (folder / "config.json").write_bytes(orjson.dumps(known["base"] | known["variants"][PROJECTED] | config))
    save_file(edit(load_file(GOLDEN / "retriever_tiny.safetensors")), folder / "model.safetensors")
    return folder


def same(tensors: Tensors) -> Tensors:
    return tensors


def without(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: value for name, value in tensors.items() if not name.startswith(prefix)}


def changed(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: tensors | {name: change(tensors[name])}


@pytest.mark.parametrize(
    ("edit", "config", "problem"),
    [
        (without("proj."), {}, "do not fit config.json: 2 missing, such as proj.bias"),
        (without("norm.bias"), {}, "do not fit config.json: 1 missing, such as norm.bias"),
        (changed("proj.weight", lambda value: value[:, :3].contiguous()), {}, r"such as proj.weight: \(\d+, 3\)"),
        (changed("proj.weight", lambda value: value[0].contiguous()), {}, r"such as proj.weight: \(\d+,\) instead"),
        (changed("proj.weight", lambda value: value * torch.nan), {}, "proj.weight has values that are infinite or"),
        (changed("norm.bias", lambda value: value.to(torch.int8)), {}, "norm.bias is of type int8: a quantized model"),
        (same, {"indexing_dimension": 3}, r"such as proj.(weight|bias): "),
        (same, {"hidden_size": "16"}, "cannot load the model: .*hidden_size"),
        (same, {"extract_cls": "yes"}, "field 'extract_cls': must be true or false"),
        (same, {"question_maxlength": "40"}, "field 'question_maxlength': must be a positive integer"),
    ],
)
def test_a_retriever_that_is_not_whole_is_named(
    edit: Callable[[Tensors], Tensors], config: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    folder = retriever_checkpoint(tmp_path / "given", edit, **config)
    with pytest.raises(FidtoolsError, match=problem):
        convert_retriever(folder, tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("edit", "config", "problem"),
    [
        (changed(CROSS_BIAS, lambda value: value[:, :1].contiguous()), {}, f"such as {CROSS_BIAS}: "),
        (changed(CROSS_BIAS, lambda value: value * torch.inf), {}, "has values that are infinite or not numbers"),
        (changed("shared.weight", lambda value: value.to(torch.int32)), {}, "of type int32: a quantized model"),
        (same, {"d_model": 64}, r"do not fit config.json, such as "),
        (same, {"d_model": "32"}, "cannot load the model: .*d_model"),
        (same, {"feed_forward_proj": "banana"}, "cannot load the model: .*banana"),
        (same, {"num_layers": 10_000_000}, "config.json has num_hidden_layers 10000000, the weights only"),
        (
            lambda tensors: tensors | {"lm_head.weight": tensors["shared.weight"] + 1},
            {},
            "lm_head.weight and shared.weight differ, which config.json ties",
        ),
    ],
)
def test_a_reader_that_is_not_whole_is_named(
    edit: Callable[[Tensors], Tensors], config: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    folder = reader_checkpoint(tmp_path / "given", edit, **config)
    with pytest.raises(FidtoolsError, match=problem):
        convert_reader(folder, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_an_output_layer_of_its_own_is_kept(tmp_path: Path) -> None:
    def untied(tensors: Tensors) -> Tensors:
        return tensors | {"lm_head.weight": tensors["shared.weight"] + 1}

    folder = reader_checkpoint(tmp_path / "given", untied, tie_word_embeddings=False)
    convert_reader(folder, tmp_path / "made")
    model = load_reader(tmp_path / "made").fusion.model
    given = load_file(folder / "model.safetensors")
    assert torch.equal(model.lm_head.weight, given["lm_head.weight"])
    assert torch.equal(model.encoder.embed_tokens.weight, given["shared.weight"])
    assert model.config.scale_decoder_outputs is False


def test_weights_of_a_projection_that_config_does_not_have_are_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = retriever_checkpoint(tmp_path / "given", same, projection=False)
    tokenizer = str(GOLDEN / "e2e" / "bert_tokenizer")
    with pytest.raises(FidtoolsError, match="the tokenizer has"):  # read after the weights
        convert_retriever(folder, tmp_path / "made", tokenizer=tokenizer)
    assert "config.json has no projection, whose weights are not used" in caplog.text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, not the weights"),
        (b"PK\x03\x04 cut off", "truncated or corrupt checkpoint"),
    ],
)
def test_a_pickle_that_did_not_arrive_is_named(content: bytes, problem: str, tmp_path: Path) -> None:
    folder = reader_checkpoint(tmp_path / "given", same)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(DataError, match=f"pytorch_model.bin: {problem}"):
        convert_reader(folder, tmp_path / "made")
