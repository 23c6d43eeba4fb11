"""The reader's commands with a causal language model: unchanged, streaming, resumed exactly, also with adapters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fidtools.cli import run
from fidtools.data.records import Question
from fidtools.reader.attention_scores import attention_scores
from fidtools.reader.causal_prompt import CausalReaderSettings
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import load_reader
from tests.models import tiny_causal_reader, tiny_reader
from tests.reader.test_commands import killed_and_continued, lines, one_rank_and_two, train, trainable, weights

pytestmark = pytest.mark.usefixtures("one_thread")
ADAPTERS = ["--lora", "2"]


@pytest.fixture
def reader_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "causal"
    folder.mkdir()
    tiny_causal_reader("qwen3").save(folder)
    return folder


@pytest.mark.parametrize("command", ["read", "score-attn", "score-likelihood"])
def test_bytes_do_not_depend_on_the_token_budget(
    reader_folder: Path, question_file: Path, tmp_path: Path, command: str
) -> None:
    written = []
    for budget in (1, 60, 16384):
        out = tmp_path / f"{budget}.jsonl"
        options = ["-o", str(out), "--token-budget", str(budget), "--precision", "float32"]
        assert run([command, str(question_file), "--reader", str(reader_folder), *options]) == 0
        written.append(out.read_bytes())
    assert written[0] == written[1] == written[2]


def test_every_score_is_written(reader_folder: Path, question_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    options = ["--aggregate", "all", "--target", "gold", "-o", str(out), "--precision", "float32"]
    assert run(["score-attn", str(question_file), "--reader", str(reader_folder), *options]) == 0
    scores = [p["scores"] for line in lines(out) for p in line["ctxs"]]
    assert all({"attention", "attention-max-head", "attention-mass"} <= found.keys() for found in scores)
    assert all(found["attention-mass"] > 0 for found in scores)


def test_a_trained_reader_scores_likelihood_in_its_own_format(
    reader_folder: Path, question_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another causal language model, without a reader's settings, cannot leave passages out."""
    out = tmp_path / "scored.jsonl"
    command = ["score-likelihood", str(question_file), "--reader", str(reader_folder), "-o", str(out)]
    assert run([*command, "--leave-one-out"]) == 0
    assert all("leave-one-out" in p["scores"] for line in lines(out) for p in line["ctxs"])
    assert run(command) == 0
    assert all("scored_by" not in line for line in lines(out))
    (reader_folder / "fidtools.json").unlink()
    assert run([*command, "--leave-one-out"]) == 2
    assert "need a Fusion-in-Decoder reader" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ADAPTERS], ids=["full", "lora"])
def test_resumed_training_is_exact(reader_folder: Path, question_file: Path, tmp_path: Path, more: list[str]) -> None:
    """The same weights, bit for bit."""
    more = [*more, "--steps", "40", "--save-every", "2", "--eval-every", "20"]
    whole, broken = killed_and_continued(reader_folder, question_file, tmp_path, *more)
    start, ours, theirs = weights_of(reader_folder), weights(broken), weights(whole)
    assert ours.keys() == theirs.keys() == start.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert any((ours[name] != start[name]).any() for name in ours)
    assert "AutoModelForCausalLM" in (whole / "README.md").read_text()


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_two_ranks_give_what_one_gives(
    reader_folder: Path, question_file: Path, questions: list[Question], tmp_path: Path
) -> None:
    """`read` and `score-attn` to the byte, training to 1e-5."""
    read, more = ["--answer-maxlength", "4"], ["--batch", "4", "--lr", "1e-3"]
    one, two = one_rank_and_two(reader_folder, trainable(question_file), questions, tmp_path, read=read, more=more)
    ours, theirs = weights(one), weights(two)
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5


def test_the_settings_are_those_of_causal_language_models(
    reader_folder: Path, question_file: Path, tmp_path: Path
) -> None:
    """Without --preset: 200 tokens of 20 passages, and the prefixes of the start."""
    (reader_folder / "fidtools.json").unlink()
    assert run(train(reader_folder, trainable(question_file), tmp_path / "out", "--question-prefix", "Q:")) == 0
    settings = CausalReaderSettings.read(tmp_path / "out")
    assert settings == CausalReaderSettings(question_prefix="Q:", text_maxlength=200, n_context=20)
    record = json.loads((tmp_path / "out" / "training.json").read_bytes())
    assert (record["dropout"], record["settings"]["schedule"]) == (0.0, "linear")


@pytest.mark.parametrize("make", [tiny_causal_reader, tiny_reader, lambda: tiny_causal_reader("gpt2")])
def test_adapters_are_merged_on_save(make: Any, questions: list[Question], tmp_path: Path) -> None:
    reader: Reader = make()
    plain, names = attention_scores(reader, questions), set(reader.fusion.model.state_dict())
    reader.fusion.add_lora(2)
    for ours, unadapted in zip(attention_scores(reader, questions), plain, strict=True):
        assert ours.get("attention", []) == pytest.approx(unadapted.get("attention", []), rel=1e-4)
    for name, parameter in reader.fusion.model.named_parameters():
        assert parameter.requires_grad == (".lora_" in name)
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    before = {name: value.clone() for name, value in reader.fusion.model.state_dict().items()}
    reader.save(tmp_path)
    again = load_reader(tmp_path)
    assert set(again.fusion.model.state_dict()) == names
    adapted = attention_scores(reader, questions)
    for ours, theirs, unadapted in zip(attention_scores(again, questions), adapted, plain, strict=True):
        assert ours.get("attention", []) == pytest.approx(theirs.get("attention", []), abs=1e-4)
        assert ours == {} or ours["attention"] != pytest.approx(unadapted["attention"], abs=1e-3)
    assert all((value == before[name]).all() for name, value in reader.fusion.model.state_dict().items())


@pytest.mark.parametrize(
    ("command", "warnings"),
    [
        (["score-attn", "--target", "gold"], ["--target has no effect with --aggregate attention"]),
        (["score-attn", "--target", "gold", "--aggregate", "attention-mass"], []),
        (
            ["score-likelihood", "--text-maxlength", "9"],
            ["--text-maxlength has no effect with a reader, whose training sets it"],
        ),
    ],
)
def test_options_that_change_no_score_are_named(
    command: list[str],
    warnings: list[str],
    reader_folder: Path,
    question_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--reader", str(reader_folder), "-o", str(tmp_path / "out.jsonl"), "--precision", "float32"]
    assert run([command[0], str(question_file), *command[1:], *options]) == 0
    assert [line for line in capsys.readouterr().err.splitlines() if "no effect" in line] == warnings
