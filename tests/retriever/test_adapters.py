"""Training adapters: merged into a plain folder, kept alone for PEFT, resumed exactly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from fidtools.cli import run
from fidtools.data.records import Passage
from fidtools.retriever.encoding import load_retriever
from tests.retriever.test_sentence_folders import (
    QUESTIONS,
    assert_equal_vectors,
    embedding_gemma,
    qwen3,
    sentence_folder,
)
from tests.retriever.test_training import EXACT, ONE_THREAD, SMALL, different, weights

Write = Callable[..., Path]
LORA = ["--lora", "2", "--keep-adapter", "--lr", "1e-2"]
peft = pytest.importorskip("peft")


def train(data: Path, start: Path, output: Path, *options: str) -> list[str]:
    return ["train-retriever", str(data), "--retriever", str(start), "-o", str(output), *SMALL, *EXACT, *options]


@pytest.mark.parametrize("make", [None, qwen3, embedding_gemma], ids=["bert", "qwen3", "embedding_gemma"])
def test_the_folder_is_plain_and_the_adapter_alone_gives_its_vectors(
    make: Callable[..., object] | None, plain_model: Path, questions: Write, tmp_path: Path
) -> None:
    start = plain_model if make is None else sentence_folder(make, tmp_path)
    assert run(train(questions(), start, tmp_path / "r", *LORA)) == 0
    merged = AutoModel.from_pretrained(tmp_path / "r").eval()
    assert weights(tmp_path / "r").keys() == weights(start).keys()
    adapter = tmp_path / "r" / "adapter"
    about = orjson.loads((adapter / "adapter_config.json").read_bytes())
    assert (about["r"], about["lora_alpha"], about["base_model_name_or_path"]) == (2, 4, str(start))
    assert all(".lora_" in name for name in load_file(adapter / "adapter_model.safetensors"))
    adapted = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(start), str(adapter)).eval()
    ids = {"input_ids": torch.tensor([[5, 9, 11, 1]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    plain = AutoModel.from_pretrained(start).eval()
    with torch.no_grad():
        ours, theirs, before = (model(**ids).last_hidden_state for model in (merged, adapted, plain))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert (ours - before).abs().max() > 1e-3
    if make is not None:
        assert_equal_vectors(tmp_path / "r", load_retriever(tmp_path / "r"))


def test_only_adapters_and_new_parts_are_trained(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    assert run(train(questions(), plain_model, tmp_path / "r", *LORA, "--projection", "8")) == 0
    before, after = weights(plain_model), weights(tmp_path / "r")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.endswith("weight") and before[name].dim() == 2 for name in changed)
    assert not any("embeddings" in name or "LayerNorm" in name or "pooler" in name for name in changed)
    projection = load_file(tmp_path / "r" / "projection.safetensors")
    assert (projection["norm.bias"] != 0).any()


def test_frozen_passages_have_no_adapter(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    assert run(train(questions(), plain_model, tmp_path / "r", *LORA, "--freeze-passages")) == 0
    assert different(weights(plain_model), weights(tmp_path / "r" / "passages")) == []
    assert different(weights(plain_model), weights(tmp_path / "r")) != []
    assert not (tmp_path / "r" / "passages" / "adapter").exists()
    assert run(train(questions(), tmp_path / "r", tmp_path / "both", *LORA)) == 0
    for part in (".", "passages"):  # separate encoders have an adapter each
        assert different(weights(tmp_path / "r" / part), weights(tmp_path / "both" / part)) != []
        assert (tmp_path / "both" / part / "adapter" / "adapter_model.safetensors").is_file()


def test_a_killed_run_continues_to_the_same_bytes(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    data, dev = questions(), questions("dev.jsonl", count=5, seed=1)
    options = [*LORA, "--dev", str(dev), "--dropout", "0.1", "--matryoshka", "4,8", "--gradient-checkpointing"]
    assert run(train(data, plain_model, tmp_path / "whole", *options)) == 0
    script = f"""
import os, signal
from fidtools.retriever import student
from fidtools.cli import main
seen = []
def forward(self, batch, plain=student.Student.forward):
    seen.append(1)
    if len(seen) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, batch)
student.Student.forward = forward
main({train(data, plain_model, tmp_path / "cut", *options)!r})
"""
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, env=ONE_THREAD)
    assert killed.returncode == -9, killed.stderr.decode()
    assert run(train(data, plain_model, tmp_path / "cut", *options, "--resume")) == 0
    for name in ("model.safetensors", "last/model.safetensors", "adapter/adapter_model.safetensors", "README.md"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name
    configs = [tmp_path / name / "adapter" / "adapter_config.json" for name in ("whole", "cut")]
    assert configs[0].read_bytes() == configs[1].read_bytes()


def test_an_adapter_is_not_taken_for_a_model(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    assert run(train(questions(), plain_model, tmp_path / "r", *LORA)) == 0
    passages = tmp_path / "p.jsonl"
    passages.write_text('{"id": "1", "text": "w1"}\n')
    assert run(["embed", str(passages), "--retriever", str(tmp_path / "r" / "adapter"), "-o", str(tmp_path / "p.npy")])
    assert run(train(questions(), plain_model, tmp_path / "r", *LORA, "--steps", "2")) == 0  # it is ours to replace
    before, after = load_retriever(plain_model), load_retriever(tmp_path / "r")
    assert np.abs(after.encode_questions(QUESTIONS) - before.encode_questions(QUESTIONS)).max() > 1e-3
    assert after.encode_passages([Passage("1", "w1")]).shape == (1, 16)
