"""Equality with the public reference implementation, from numbers it gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fidtools.data.read import read_passages
from fidtools.data.records import Passage
from fidtools.encoders.transformer import TransformerEncoder
from fidtools.released.retrievers import convert_retriever, encoder_from_tensors
from fidtools.retriever import losses
from fidtools.retriever.encoding import load_retriever
from fidtools.retriever.settings import RetrieverSettings
from tests import GOLDEN

VARIANTS = [
    "proj_mean",
    "proj_cls",
    "noproj_mean",
    "noproj_cls",
    "proj_nomask",
    "proj_nopassagemask",
    "proj_cls_nomask",
]


def tiny(variant: str) -> tuple[TransformerEncoder, dict[str, Any], dict[str, Tensor]]:
    configs = orjson.loads((GOLDEN / "retriever_tiny_config.json").read_bytes())
    config = configs["base"] | configs["variants"][variant]
    tensors = load_file(GOLDEN / "retriever_tiny.safetensors")
    encoder = encoder_from_tensors(config, tensors, "golden")
    return encoder, configs["variants"][variant], load_file(GOLDEN / "retriever_io.safetensors")


def forward(
    encoder: TransformerEncoder, config: dict[str, Any], io: dict[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Vectors of questions and passages, scores, and the reference's loss."""

    def mask(name: str) -> Tensor:
        given = io[f"{name}_mask"].long()
        return given if config[f"apply_{name}_mask"] else torch.ones_like(given)

    question = encoder(io["question_ids"], mask("question"))
    passage = encoder(io["passage_ids"].flatten(0, 1), mask("passage").flatten(0, 1))
    score = losses.similarity(question.unsqueeze(1), passage.view(3, 5, -1))
    everything = torch.ones(3, 5, dtype=torch.bool)
    loss = losses.kl(score, io["gold_score"], everything, per_passage=True).mean()
    return question, passage, score, loss


@pytest.mark.parametrize("variant", VARIANTS)
def test_vectors_scores_and_loss_are_the_reference_s(variant: str) -> None:
    encoder, config, io = tiny(variant)
    names = ("question", "passage", "score", "loss")
    for name, found in zip(names, forward(encoder, config, io), strict=True):
        np.testing.assert_allclose(
            found.detach().reshape(io[f"{variant}.{name}"].shape), io[f"{variant}.{name}"], 1e-5, 1e-6
        )


@pytest.mark.parametrize("variant", ["proj_mean", "noproj_cls"])
def test_gradients_are_the_reference_s(variant: str) -> None:
    encoder, config, io = tiny(variant)
    forward(encoder, config, io)[3].backward()
    expected = load_file(GOLDEN / f"retriever_grads_{variant}.safetensors")
    own = {name.removeprefix("projection."): p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    assert own.keys() == expected.keys()
    for name, gradient in expected.items():
        np.testing.assert_allclose(own[name], gradient, rtol=1e-4, atol=1e-7, err_msg=name)


def test_eight_updates_give_the_reference_s_losses_and_weights() -> None:
    trace = orjson.loads((GOLDEN / "optim.json").read_bytes())["traces"]["retriever_adamw_linear"]
    encoder, config, io = tiny("proj_mean")
    options = trace["opt"]
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, weight_decay=options["weight_decay"])
    for number, step in enumerate(trace["steps"]):
        loss = forward(encoder, config, io)[3]
        assert loss.item() == pytest.approx(step["loss"], rel=1e-4), number
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), options["clip"])
        for group in optimizer.param_groups:
            group["lr"] = step["lr_used"]
        optimizer.step()
    for name, parameter in encoder.named_parameters():
        if parameter.requires_grad and "key.bias" not in name:  # its gradient is zero but for rounding, and Adam scales
            expected = trace["final_param_l2"][name.removeprefix("projection.")]
            assert parameter.norm().item() == pytest.approx(expected, rel=1e-4), name


def test_a_converted_checkpoint_embeds_as_the_reference_does(tmp_path: Path) -> None:
    folder = GOLDEN / "e2e"
    convert_retriever(folder / "retriever", tmp_path / "r", tokenizer=str(folder / "bert_tokenizer"))
    retriever = load_retriever(tmp_path / "r")
    passages = list(read_passages(folder / "passages.tsv"))
    expected = load_file(folder / "expected_passage_embeddings.safetensors")
    assert [int(passage.id or "") for passage in passages] == expected["ids"].tolist()
    np.testing.assert_allclose(retriever.encode_passages(passages), expected["embeddings"], rtol=1e-5, atol=2e-6)


def test_texts_are_written_as_the_reference_does() -> None:
    golden = orjson.loads((GOLDEN / "dataset.json").read_bytes())
    calls = golden["retriever_collator_calls"]
    text = golden["text_collator_calls"][0]["texts"]
    settings = RetrieverSettings()
    assert settings.question_text("who is it?") == calls[0]["texts"][0]
    assert settings.question_text("  spaced  question ") == calls[0]["texts"][1]
    assert settings.passage_text(Passage("1", "second\ntext", "T two")) == calls[1]["texts"][0]
    assert [settings.passage_text(p) for p in (Passage("1", "the text", "the title"), Passage("2", ""))] == text
