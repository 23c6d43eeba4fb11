"""`--resume` of the commands that write question by question: what an interrupted run has done is not done again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fidtools.cli import run
from fidtools.commands._kept_lines import Kept
from fidtools.compute.device import Compute
from tests.models import bert_folder, tiny_causal_model, word_tokenizer
from tests.toy_models import READER

torch.set_num_threads(1)  # these models are too small for two


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lm")
    tokenizer = word_tokenizer()
    tiny_causal_model("llama", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    from transformers import AutoModelForSequenceClassification

    folder = bert_folder(tmp_path_factory.mktemp("teacher"))
    AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """150 questions with three passages each: three groups of the language model, more of the others."""
    path = tmp_path / "questions.jsonl"
    passages = [{"id": str(i), "title": f"town {i}", "text": "this town is old" + " and old" * i} for i in range(3)]
    known = {"answers": ["he"], "ctxs": passages}
    asked = [{"id": str(i), "question": f"who built town {i} é?"} | known for i in range(150)]
    path.write_text("".join(json.dumps(question) + "\n" for question in asked))
    return path


@pytest.fixture(params=["read", "score-attn", "score-likelihood", "of-question", "score-cross"])
def command(request: pytest.FixtureRequest, questions: Path, language_model: str, teacher: str) -> list[str]:
    """The command line of one kind, without its output."""
    models = {
        "of-question": ["score-likelihood", "--of", "question", "--reader", language_model],
        "score-cross": ["score-cross", "--teacher", teacher],
    }
    name, *options = models.get(request.param, [request.param, "--reader", READER])
    return [name, str(questions), *options, "-q"]


class Watch:
    """The sizes of the groups whose lines were kept; the run is interrupted when there are `most` of them."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.most = -1


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()

    def write(self: Kept, group: list[object], write: Callable[..., None] = Kept.write) -> None:
        if len(watch.sizes) == watch.most:
            raise KeyboardInterrupt
        write(self, group)
        watch.sizes.append(len(group))

    monkeypatch.setattr(Kept, "write", write)
    return watch


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def interrupted(command: list[str], output: Path, watch: Watch) -> None:
    """Run the command until two groups are kept."""
    watch.most = 2
    assert run([*command, "--resume", "-o", str(output)]) == 130
    assert not output.exists()
    watch.most = -1
    watch.sizes.clear()


def test_an_interrupted_run_continues_to_the_same_bytes(command: list[str], tmp_path: Path, watch: Watch) -> None:
    plain, output = tmp_path / "plain.jsonl", tmp_path / "out.jsonl"
    assert run([*command, "-o", str(plain)]) == 0
    interrupted(command, output, watch)
    with open(tmp_path / ".out.jsonl.unfinished", "ab") as torn:
        torn.write(b'["{\\"id\\": ')  # a process that was killed may end in the middle of a line
    assert run([*command, "--resume", "-o", str(output)]) == 0
    assert output.read_bytes() == plain.read_bytes()
    size = watch.sizes[0]
    assert sum(watch.sizes) == 150 - 2 * max(size, 64 if "question" in command else 16)
    assert names(tmp_path) == ["out.jsonl", "out.jsonl.run.json", "plain.jsonl", "questions.jsonl"]


def test_a_finished_run_is_left_alone(
    command: list[str], tmp_path: Path, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl.gz"
    again = [*command[:-1], "--precision", "float32", "--resume", "-o", str(output)]
    assert run(again) == 0
    before, watch.sizes[:] = output.read_bytes(), []
    assert run(again) == 0
    assert watch.sizes == []
    assert "out.jsonl.gz is finished; nothing to do" in capsys.readouterr().err
    assert run([*again, "--precision", "bf16"]) == 2
    assert "the finished run used other settings: precision was float32, is now bfloat16" in capsys.readouterr().err
    assert output.read_bytes() == before


def test_other_questions_or_another_model_are_not_continued(
    language_model: str, questions: Path, tmp_path: Path, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output = tmp_path / "model", tmp_path / "out.jsonl"
    shutil.copytree(language_model, model)
    command = ["score-likelihood", str(questions), "--of", "question", "--reader", str(model), "-q"]
    interrupted(command, output, watch)
    config = model / "config.json"
    before = config.read_text()
    config.write_text(before + "\n")
    assert run([*command, "--resume", "-o", str(output)]) == 2
    assert "the unfinished run used other settings: reader_version was" in capsys.readouterr().err
    config.write_text(before)
    questions.write_text(questions.read_text() + '{"id": "more", "question": "who?", "ctxs": []}\n')
    assert run([*command, "--resume", "-o", str(output)]) == 2
    assert "the unfinished run used other settings: questions was" in capsys.readouterr().err
    assert run(["score-attn", str(questions), "--reader", READER, "--resume", "-o", str(output)]) == 2
    assert "other settings: command was score-likelihood, is now score-attn" in capsys.readouterr().err
    assert run([*command, "-o", str(output)]) == 0


def test_a_run_is_not_continued_in_the_precision_of_another_machine(
    command: list[str],
    tmp_path: Path,
    watch: Watch,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "out.jsonl"
    for has_units in (True, False):
        monkeypatch.setattr("fidtools.compute.precision.bf16_units", lambda device, has=has_units: (has, "tested"))
        Compute.choose.cache_clear()
        if has_units:
            interrupted(command, output, watch)
    assert run([*command, "--resume", "-o", str(output)]) == 2
    assert "precision was bfloat16, is now float32" in capsys.readouterr().err
    assert run([*command, "--precision", "bf16", "--resume", "-o", str(output)]) == 0
    Compute.choose.cache_clear()


def test_a_run_without_resume_leaves_nothing_to_continue(
    command: list[str], tmp_path: Path, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    other = [*command, "--precision", "float32"]
    interrupted(command, output, watch)
    assert run([*other, "-o", str(output)]) == 0
    assert names(tmp_path) == ["out.jsonl", "questions.jsonl"]
    assert run([*command, "--resume", "-o", str(output)]) == 0  # a record of these settings …
    assert run([*other, "-o", str(output)]) == 0
    assert names(tmp_path) == ["out.jsonl", "questions.jsonl"]  # … does not outlive its output
    assert run([*other, "--resume", "-o", str(output)]) == 0


def test_files_of_the_user_beside_the_output_are_not_touched(questions: Path, tmp_path: Path) -> None:
    mine = [tmp_path / ".out.jsonl.unfinished", tmp_path / "out.jsonl.run.json"]
    for path in mine:
        path.write_text("my notes")
    command = ["read", str(questions), "--reader", READER, "-q", "-o", str(tmp_path / "out.jsonl")]
    assert run([*command, "--resume"]) == 2
    assert run(command) == 0
    assert [path.read_text() for path in mine] == ["my notes", "my notes"]


def test_a_finished_run_may_be_copied(questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["read", str(questions), "--reader", READER, "--resume"]
    (tmp_path / "d").mkdir()
    assert run([*command, "-q", "-o", str(tmp_path / "d/out.jsonl")]) == 0
    shutil.copytree(tmp_path / "d", tmp_path / "e")
    assert run([*command, "-o", str(tmp_path / "e/out.jsonl")]) == 0
    assert "is finished; nothing to do" in capsys.readouterr().err
    (tmp_path / "e/out.jsonl").write_text("junk")
    assert run([*command, "-o", str(tmp_path / "e/out.jsonl")]) == 2
    assert "e/out.jsonl is not as the finished run left it" in capsys.readouterr().err


def test_the_token_budget_counts_where_it_rounds_scores(
    command: list[str], tmp_path: Path, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    interrupted(command, output, watch)
    counts = command[0] == "score-cross"
    assert run([*command, "--resume", "--token-budget", "300", "-o", str(output)]) == (2 if counts else 0)
    assert ("token_budget was 16384, is now 300" in capsys.readouterr().err) == counts


def test_there_must_be_files_to_continue(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--resume"]) == 2
    assert "--resume continues a file\n  name it with -o" in capsys.readouterr().err
    assert run([command[0], "-", *command[2:], "--resume", "-o", "out.jsonl"]) == 2
    assert "--resume reads the questions again\n  give them as a file" in capsys.readouterr().err


def test_an_error_before_the_first_group_leaves_nothing(questions: Path, tmp_path: Path) -> None:
    questions.write_text('{"id": "a", "question": "who?"}\n')
    assert run(["read", str(questions), "--reader", READER, "--resume", "-o", str(tmp_path / "out.jsonl"), "-q"]) == 1
    assert names(tmp_path) == ["questions.jsonl"]
