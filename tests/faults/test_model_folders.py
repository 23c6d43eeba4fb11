"""A model folder is read as it is meant, in one way for every command, or refused with one message before any work."""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from safetensors.torch import load_file

from fidtools import cli
from fidtools.compute.hub import resolve_model
from fidtools.retriever.encoding import load_retriever
from tests.faults.damaged_models import (
    KINDS,
    QUESTION,
    config,
    weights,
    write_language_model,
    write_reader,
    write_retriever,
    write_sentence_transformer,
    write_teacher,
)
from tests.models import bert_folder

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., str]
EVIL = """import os
open(os.environ["MARK"], "w").close()
from transformers import PretrainedConfig, PreTrainedModel
class C(PretrainedConfig):
    model_type = "evil"
class M(PreTrainedModel):
    config_class = C
"""
AUTO_MAP = {
    "AutoConfig": "evil.C",
    "AutoTokenizer": ["evil.M", "evil.M"],
    **dict.fromkeys(
        ("AutoModel", "AutoModelForSeq2SeqLM", "AutoModelForSequenceClassification", "AutoModelForCausalLM"), "evil.M"
    ),
}


@pytest.fixture
def run(tmp_path: Path, capfd) -> Run:
    """Run a command on one question; returns its messages, having checked the exit code and that they are one."""
    file = tmp_path / "questions.jsonl"
    file.write_bytes(orjson.dumps(QUESTION) + b"\n")

    def run(command: str, model: Path | str, *more: str, code: int = 0, question: object = None) -> str:
        if question is not None:
            file.write_bytes(orjson.dumps(question) + b"\n")
        arguments = COMMANDS[command](model, file)
        for out in (tmp_path / "out.npy", tmp_path / "out.json", tmp_path / "out.ids"):
            shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
        capfd.readouterr()
        quick = [] if command == "chunk" else ["--precision", "float32"]
        assert cli.run([*arguments, *quick, "-o", str(tmp_path / "out.npy"), "-q", *more]) == code
        said = capfd.readouterr()
        assert said.out == ""
        assert "Traceback" not in said.err
        if code:
            assert [line for line in said.err.splitlines() if not line.startswith("  ")] == [said.err.splitlines()[0]]
        return said.err

    return run


def training(command: str, option: str) -> Callable[[Path | str, Path], list[str]]:
    return lambda model, file: [command, str(file), option, str(model), "--steps", "1", "--batch", "1"]


COMMANDS: dict[str, Callable[[Path | str, Path], list[str]]] = {
    "read": lambda model, file: ["read", str(file), "--reader", str(model)],
    "score-attn": lambda model, file: ["score-attn", str(file), "--reader", str(model)],
    "score-likelihood": lambda model, file: ["score-likelihood", str(file), "--reader", str(model)],
    "question-likelihood": lambda model, file: [
        "score-likelihood",
        str(file),
        "--reader",
        str(model),
        "--of",
        "question",
    ],
    "train-reader": training("train-reader", "--reader"),
    "embed": lambda model, file: ["embed", "--questions", str(file), "--retriever", str(model)],
    "train-retriever": training("train-retriever", "--retriever"),
    "score-cross": lambda model, file: ["score-cross", str(file), "--teacher", str(model)],
    "train-teacher": training("train-teacher", "--teacher"),
    "chunk": lambda model, file: [
        "chunk",
        str(file.with_name("documents.txt")),
        "--tokens",
        "9",
        "--tokenizer",
        str(model),
    ],
}
READERS = ("read", "score-attn", "score-likelihood", "train-reader")
WRITERS = {
    **dict.fromkeys(READERS, write_reader),
    "question-likelihood": write_language_model,
    "embed": write_retriever,
    "train-retriever": write_retriever,
    "score-cross": write_teacher,
    "train-teacher": write_teacher,
}


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize("known", [False, True])
def test_code_of_a_folder_never_runs(command: str, known: bool, run: Run, tmp_path: Path, monkeypatch) -> None:
    """Nobody is asked either: the answer would be read from the questions."""
    WRITERS[command](tmp_path / "model")
    (tmp_path / "model" / "evil.py").write_text(EVIL)
    config(tmp_path / "model", auto_map=AUTO_MAP, **({} if known else {"model_type": "evil"}))
    tokenizer = tmp_path / "model" / "tokenizer_config.json"
    tokenizer.write_text(json.dumps(json.loads(tokenizer.read_text()) | {"auto_map": AUTO_MAP}))
    monkeypatch.setenv("MARK", str(tmp_path / "EXECUTED"))
    asked = io.TextIOWrapper(io.BytesIO(b"y\nyes\n1\n"))
    monkeypatch.setattr(sys, "stdin", asked)
    said = run(command, tmp_path / "model", code=0 if known else 1)
    assert said == "" if known else "code of its own, which is never run" in said
    assert not (tmp_path / "EXECUTED").exists()
    assert asked.read() == "y\nyes\n1\n"


def test_pickled_weights_may_hold_tensors_only(run: Run, tmp_path: Path) -> None:
    write_reader(tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    (tmp_path / "model" / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "model" / "pytorch_model.bin")
    run("read", tmp_path / "model")
    torch.save(tensors | {"evil": Evil(tmp_path / "EXECUTED")}, tmp_path / "model" / "pytorch_model.bin")
    assert "which could run code: refused" in run("read", tmp_path / "model", code=1)
    assert not (tmp_path / "EXECUTED").exists()


class Evil:
    """An object that makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(("command", "write"), [("read", write_reader), ("embed", write_retriever)])
def test_integers_as_weights_are_refused_in_pickles_too(command: str, write, tmp_path: Path, run: Run) -> None:
    write(tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    (tmp_path / "model" / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "model" / "pytorch_model.bin")
    run(command, tmp_path / "model")
    name = next(name for name in tensors if name.endswith(".weight"))
    torch.save(tensors | {name: tensors[name].to(torch.int8)}, tmp_path / "model" / "pytorch_model.bin")
    said = f"{name} in pytorch_model.bin is of type int8: quantized weights are not read"
    assert said in run(command, tmp_path / "model", code=1)


def test_no_other_module_loads_models() -> None:
    """One way to load: `from_pretrained` is called where its safe options are, and nowhere else."""
    allowed = {"loading.py", "tokenizers.py", "bundled.py", "readers.py"}
    found = set()
    for path in (ROOT / "fidtools").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "from_pretrained":
                found.add(path.name)
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert isinstance(node.value, ast.Constant)
                assert node.value.value is False
    assert found == allowed


@pytest.mark.parametrize("command", READERS)
def test_a_reader_must_be_whole(command: str, run: Run, tmp_path: Path) -> None:
    write_reader(tmp_path / "whole")
    for name in ("missing", "longer", "shorter", "wider", "raw", "nan"):
        shutil.copytree(tmp_path / "whole", tmp_path / name)
    weights(tmp_path / "missing", lambda t: {k: v for k, v in t.items() if "decoder.block.2" not in k})
    config(tmp_path / "longer", num_layers=4)
    config(tmp_path / "shorter", num_layers=1)
    config(tmp_path / "wider", vocab_size=200)
    weights(
        tmp_path / "raw",
        lambda t: {re.sub(r"^encoder\.block\.(\d)\.", r"encoder.encoder.block.\1.module.", k): v for k, v in t.items()},
    )
    weights(tmp_path / "nan", lambda t: {k: v * torch.nan if "wo" in k else v for k, v in t.items()})
    assert "weights are missing, such as decoder.block.2.layer.0" in run(command, tmp_path / "missing", code=1)
    assert "weights are missing, such as encoder.block.2.layer.0" in run(command, tmp_path / "longer", code=1)
    assert "of layers that config.json does not have, such as encoder.block.1" in run(
        command, tmp_path / "shorter", code=1
    )
    assert "1 weight does not fit config.json, such as shared.weight" in run(command, tmp_path / "wider", code=1)
    assert "fidtools convert reader" in run(command, tmp_path / "raw", code=1)
    assert "infinite or not numbers" in run(command, tmp_path / "nan", code=1)


@pytest.mark.parametrize("command", ["embed", "train-retriever"])
def test_a_retriever_must_be_whole(command: str, run: Run, tmp_path: Path) -> None:
    write_retriever(tmp_path / "model")
    config(tmp_path / "model", num_hidden_layers=1)
    assert "of layers that config.json does not have" in run(command, tmp_path / "model", code=1)
    config(tmp_path / "model", num_hidden_layers=3)
    assert "16 weights are missing, such as encoder.layer.2" in run(command, tmp_path / "model", code=1)
    config(tmp_path / "model", num_hidden_layers=2, vocab_size=10**9)
    assert "config.json describes 16,0" in run(command, tmp_path / "model", code=1)
    config(tmp_path / "model", num_hidden_layers=10**9, vocab_size=68)
    assert "num_hidden_layers 1000000000, the weights only" in run(command, tmp_path / "model", code=1)


@pytest.mark.parametrize("command", WRITERS)
def test_a_tokenizer_is_needed_and_fits(command: str, run: Run, tmp_path: Path) -> None:
    WRITERS[command](tmp_path / "model")
    tokenizer = tmp_path / "model" / "tokenizer.json"
    content = json.loads(tokenizer.read_text())
    content["model"]["vocab"]["beyond"] = 5000
    tokenizer.write_text(json.dumps(content))
    assert "the tokenizer has 5,001 tokens, the model" in run(command, tmp_path / "model", code=1)
    tokenizer.unlink()
    if (tmp_path / "model" / "tokenizer_config.json").exists():
        assert "no tokenizer in it, only its settings" in run(command, tmp_path / "model", code=1)
    for path in (tmp_path / "model").glob("tokenizer*"):
        path.unlink()
    assert "no tokenizer in it" in run(command, tmp_path / "model", code=1)


def test_damaged_settings_are_named(run: Run, tmp_path: Path) -> None:
    bert_folder(tmp_path / "model")
    config = (tmp_path / "model" / "config.json").read_text()
    (tmp_path / "model" / "config.json").write_text(config.replace('"gelu"', '"nothing"'))
    assert "a setting or part is missing or unknown: 'nothing'" in run("embed", tmp_path / "model", code=1)
    (tmp_path / "model" / "config.json").write_text(config)
    (tmp_path / "model" / "tokenizer_config.json").write_text("[]")
    assert "tokenizer_config.json: expected a JSON object" in run("embed", tmp_path / "model", code=1)


def test_a_teacher_needs_a_trained_head(run: Run, tmp_path: Path) -> None:
    bert_folder(tmp_path / "bert")
    assert "no trained classification head" in run("score-cross", tmp_path / "bert", code=1)
    write_teacher(tmp_path / "teacher")
    weights(tmp_path / "teacher", lambda t: {k: v for k, v in t.items() if "classifier" not in k})
    assert "2 weights are missing, such as classifier.bias" in run("score-cross", tmp_path / "teacher", code=1)
    run("train-teacher", tmp_path / "bert")
    assert (tmp_path / "out.npy" / "teacher.json").is_file()


def test_models_of_another_kind_are_named(run: Run, tmp_path: Path) -> None:
    for name, write in (("reader", write_reader), ("retriever", write_retriever), ("teacher", write_teacher)):
        write(tmp_path / name)
    write_language_model(tmp_path / "lm")
    assert "a reader, not a retriever" in run("embed", tmp_path / "reader", code=2)
    assert "a teacher, not a retriever" in run("embed", tmp_path / "teacher", code=2)
    assert "a causal language model (llama)" in run("embed", tmp_path / "lm", code=2)
    assert "a retriever, not a reader" in run("read", tmp_path / "retriever", code=2)
    assert "a teacher, not a reader" in run("read", tmp_path / "teacher", code=2)
    assert "a bert model, which generates no text" in run("read", bert_folder(tmp_path / "bert"), code=2)
    write_reader(tmp_path / "bart", "bart")
    (tmp_path / "bart" / "fidtools.json").unlink()
    assert "an encoder-decoder (bart), whose encoder cannot be loaded alone" in run("embed", tmp_path / "bart", code=2)
    assert "[transformers]" not in run("read", tmp_path / "lm")
    assert "a bert model, which generates no text" in run("question-likelihood", tmp_path / "retriever", code=2)
    assert "an encoder-decoder; a teacher is an encoder" in run("train-teacher", tmp_path / "reader", code=2)


def test_a_hub_name_reads_everything_that_its_folder_says(tmp_path: Path, monkeypatch) -> None:
    write_sentence_transformer(tmp_path / "model")
    cache = tmp_path / "hub" / "models--acme--whole"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("1")
    shutil.copytree(tmp_path / "model", cache / "snapshots" / "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folder, name = load_retriever(tmp_path / "model"), load_retriever("acme/whole")
    assert name.settings == folder.settings
    assert (name.settings.pooling, name.settings.passage_maxlength) == ("mean", 16)
    assert name.fingerprint == folder.fingerprint


def test_a_hub_name_fetches_what_a_folder_holds(tmp_path: Path, monkeypatch) -> None:
    from huggingface_hub.utils import filter_repo_objects

    held = (
        *("config.json", "model.safetensors", "pytorch_model.bin", "modules.json", "1_Pooling/config.json"),
        *("2_Dense/config.json", "2_Dense/pytorch_model.bin", "3_Dense/config.json", "3_Dense/model.safetensors"),
        *("3_Dense/pytorch_model.bin", "source.spm", "qwen.tiktoken", "vocab.bpe", "merges.txt", "spiece.model"),
    )
    useless = {"training_args.bin", "onnx/model.onnx", "2_Dense/training_args.bin", "tf_model.h5"}
    spare = {"pytorch_model.bin", "3_Dense/pytorch_model.bin"}
    local = tmp_path / "local"

    def download(name: str, allow_patterns: list[str], ignore_patterns: list[str]) -> str:
        every = [*held, *useless]
        for file in filter_repo_objects(every, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns):
            (local / file).parent.mkdir(parents=True, exist_ok=True)
            (local / file).touch()
        return str(local)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert resolve_model("acme/fetched") == local
    assert {p.relative_to(local).as_posix() for p in local.rglob("*") if p.is_file()} == set(held) - spare


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("lower", [False, True])
def test_the_vectors_of_sentence_transformers(old: bool, lower: bool, tmp_path: Path) -> None:
    """Its length, its lower-casing, and its old layout with the transformer in a folder of its own."""
    library = pytest.importorskip("sentence_transformers")
    write_sentence_transformer(tmp_path / "model", length=9, do_lower_case=lower)
    if old:
        inner = tmp_path / "model" / "0_Transformer"
        inner.mkdir()
        for path in [p for p in (tmp_path / "model").iterdir() if p.is_file() and p.name != "modules.json"]:
            path.rename(inner / path.name)
        modules = json.loads((tmp_path / "model" / "modules.json").read_text())
        modules[0]["path"] = "0_Transformer"
        (tmp_path / "model" / "modules.json").write_text(json.dumps(modules))
    text = "W1 w2 " * 10
    expected = library.SentenceTransformer(str(tmp_path / "model"), device="cpu").encode([text])
    np.testing.assert_allclose(load_retriever(tmp_path / "model").encode_questions([text]), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("query: ", "the field {question} is missing"),
        ("{q}", "unknown field {q}"),
        ("{question", "malformed template"),
        ("{question:>999999999}", "fields take neither a format nor a conversion"),
        ("{question!r}", "fields take neither a format nor a conversion"),
        ("{question.__class__}", "unknown field {question.__class__}"),
        ("{question[0]}", "unknown field {question[0]}"),
        ("{0}", "unknown field {0}"),
    ],
)
def test_formats_take_named_fields_only(value: str, said: str, run: Run, tmp_path: Path) -> None:
    write_retriever(tmp_path / "model")
    err = run("train-retriever", tmp_path / "model", "--question-format", value, code=2)
    assert err.startswith(f"fidtools: --question-format: {said}")
    settings = tmp_path / "model" / "retriever.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"question_format": value}))
    assert f"retriever.json: field 'question_format': {said}" in run("embed", tmp_path / "model", code=1)


def test_a_tokenizer_is_saved_as_it_was_loaded(tmp_path: Path) -> None:
    from fidtools.compute.tokenizers import load_tokenizer, save_tokenizer

    bert_folder(tmp_path / "model")
    for truncation in (None, {"direction": "Right", "max_length": 7, "strategy": "LongestFirst", "stride": 0}):
        path = tmp_path / "model" / "tokenizer.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"truncation": truncation}))
        tokenizer = load_tokenizer("model", tmp_path / "model")
        for name in ("before", "after"):
            save_tokenizer(tokenizer, tmp_path / name)
            tokenizer(["w1 w2 w3 w4"], truncation=True, max_length=3, padding=True)
        assert (tmp_path / "before/tokenizer.json").read_bytes() == (tmp_path / "after/tokenizer.json").read_bytes()
        assert json.loads((tmp_path / "after/tokenizer.json").read_text())["truncation"] == truncation


def test_every_kind_of_folder_has_a_command() -> None:
    assert set(KINDS) >= {"reader", "retriever", "teacher", "language model", "LSTM", "coattention"}
