"""The commands as a user runs them: output, streaming, ranks, and training that continues exactly."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tokenizers import normalizers

from fidtools.cli import run
from fidtools.commands._kept_lines import Kept, Line
from fidtools.compute.lengths import Cut, CutCounter
from fidtools.data.prompt_templates import ENCODER_QUESTION_PROMPT
from fidtools.data.read import read_questions
from fidtools.data.records import Passage, Question
from fidtools.errors import UsageError
from fidtools.reader.attention_scores import attention_scores
from fidtools.reader.decoding import output_tokens
from fidtools.reader.likelihood import score_questions_by_question_likelihood
from fidtools.reader.objective import ReaderObjective
from fidtools.reader.prompt import ReaderSettings
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import load_reader
from fidtools.training.order import ExampleRef
from tests import two_ranks

SCRIPT = Path(sys.executable).with_name("fidtools")
TRAIN = ["--steps", "6", "--batch", "3", "--lr", "1e-2", "--eval-every", "3", "--precision", "float32", "-q"]


pytestmark = pytest.mark.usefixtures("one_thread")


def fidtools(*args: object) -> list[str]:
    return [str(SCRIPT), *map(str, args)]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_score_attn_is_the_library(reader_folder: Path, question_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    assert (
        run(
            ["score-attn", str(question_file), "--reader", str(reader_folder), "-o", str(out), "--precision", "float32"]
        )
        == 0
    )
    reader = load_reader(reader_folder)
    reader.fusion.eval()
    questions = list(read_questions(question_file))
    for question, scores, line in zip(questions, attention_scores(reader, questions), lines(out), strict=True):
        found = [(p["id"], p["score"]) for p in line["ctxs"]]
        pairs = zip(question.ctxs or [], scores.get("attention", []), strict=True)
        assert found == sorted(((p.id, score) for p, score in pairs), key=lambda pair: -pair[1])
        assert all(p["scores"]["attention"] == p["score"] for p in line["ctxs"])


def test_passages_beyond_n_context_have_no_score(reader_folder: Path, question_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    assert (
        run(["score-attn", str(question_file), "--reader", str(reader_folder), "-o", str(out), "--n-context", "2"]) == 0
    )
    third = lines(out)[2]["ctxs"]
    assert [("score" in p, p["scores"].keys()) for p in third] == [
        (True, {"attention", "previous"}),
        (True, {"attention", "previous"}),
        (False, {"previous"}),
        (False, {"previous"}),
    ]


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


def test_scores_flow_before_the_input_ends(reader_folder: Path, question_file: Path) -> None:
    """A pipe: the first group is written while the input is still open."""
    questions = question_file.read_bytes() * 8
    command = fidtools("score-attn", "--reader", reader_folder, "-q")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=two_ranks.ON_CPU) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(questions)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == "q0"
        process.stdin.close()
        assert len(process.stdout.readlines()) == 39


def test_read_writes_the_answer_and_keeps_the_rest(reader_folder: Path, question_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "answered.jsonl"
    options = ["--beams", "2", "--n-best", "2", "--answer-maxlength", "3", "-o", str(out)]
    assert run(["read", str(question_file), "--reader", str(reader_folder), *options]) == 0
    for before, after in zip(lines(question_file), lines(out), strict=True):
        best, second = after.pop("predictions")
        assert after.pop("prediction") == best["text"]
        assert after.pop("log_probability") == best["log_probability"] >= second["log_probability"]
        assert after == before


def test_answers_of_an_earlier_reader_are_replaced(reader_folder: Path, question_file: Path, tmp_path: Path) -> None:
    earlier, out = tmp_path / "earlier.jsonl", tmp_path / "answered.jsonl"
    stale = {"prediction": "stale", "log_probability": -9.0, "predictions": [{"text": "stale"}]}
    earlier.write_text("".join(json.dumps(line | stale) + "\n" for line in lines(question_file)))
    for source in (question_file, earlier):
        assert run(["read", str(source), "--reader", str(reader_folder), "-o", f"{out}.{source.stem}"]) == 0
    assert Path(f"{out}.earlier").read_bytes() == Path(f"{out}.{question_file.stem}").read_bytes()


def test_more_answers_than_beams_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.jsonl").touch()
    assert run(["read", str(tmp_path / "x.jsonl"), "--reader", "r", "--n-best", "2"]) == 2
    assert "--n-best 2 needs at least as many --beams" in capsys.readouterr().err


def test_a_question_without_ctxs_is_an_error(
    reader_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"id": "a", "question": "who", "answers": ["x"]}\n')
    for command in ("read", "score-attn", "score-likelihood"):
        assert run([command, str(data), "--reader", str(reader_folder), "-q"]) == 1
        assert "question without passages" in capsys.readouterr().err


def test_a_question_without_answer_cannot_be_trained_on(
    reader_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"id": "a", "question": "who", "ctxs": []}\n')
    assert run(["train-reader", str(data), "--reader", str(reader_folder), "-o", str(tmp_path / "out")]) == 1
    assert "data.jsonl:1: field 'answers': question without answer (got a)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "learned"),
    [({"target": "", "answers": ["w1"]}, "w1"), ({"target": "w2", "answers": ["w1"]}, "w2"), ({"target": ""}, "")],
)
def test_the_answer_to_learn_is_the_one_that_is_scored(reader: Reader, given: dict[str, Any], learned: str) -> None:
    question = Question("q", "who", ctxs=[], **given)
    objective = ReaderObjective(reader, [question], [], seed=0)
    assert objective.target(ExampleRef(0, 0)) == reader.target(learned)
    assert output_tokens(reader, [question], [], gold=True) == [reader.target(learned)]


@pytest.mark.parametrize("per_token", [False, True])
def test_a_question_without_tokens_has_likelihood_1(reader: Reader, per_token: bool) -> None:
    question = Question("q", "\u200b", ctxs=[Passage("a", "w1"), Passage("b", "w2")])
    reader.tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\u200b", "")
    score_questions_by_question_likelihood(reader, [question], ENCODER_QUESTION_PROMPT, per_token=per_token)
    assert [(passage.id, passage.score) for passage in question.ctxs or []] == [("a", 0), ("b", 0)]


@pytest.mark.parametrize(("title", "text"), [("w1", "w2 " * 100), ("w1 " * 100, "w2 " * 3), ("w1 " * 100, "")])
def test_the_end_of_a_questions_prompt_is_read_however_long_the_passage(
    reader: Reader, title: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.settings = replace(reader.settings, text_maxlength=20)
    reader.cuts = CutCounter()
    read: list[list[int]] = []
    fuse = reader.fusion.fuse
    monkeypatch.setattr(reader.fusion, "fuse", lambda tokens: read.extend(t[0] for t in tokens) or fuse(tokens))
    question = Question("q", "w3", ctxs=[Passage("a", text, title)])
    score_questions_by_question_likelihood(reader, [question], "w5 {title} {text} w6 w7")
    assert [reader.tokenizer.decode(read[0]).split()[at] for at in (0, -2, -1)] == ["w5", "w6", "w7"]
    assert (len(read[0]), reader.cuts.kinds["passages"].cut) == (20, 1)
    with pytest.raises(UsageError, match="--prompt: it takes 25 tokens, more than the 20 that this model reads"):
        score_questions_by_question_likelihood(reader, [question], "w5 " * 25 + "{text}")


def test_only_given_answers_are_counted_as_cut(reader: Reader, questions: list[Question]) -> None:
    reader.settings = replace(reader.settings, answer_maxlength=2)
    for gold, counted in ((False, {}), (True, {"answers": Cut(texts=5, cut=5, tokens=5, most=1)})):
        reader.cuts = CutCounter()
        targets = output_tokens(reader, questions, reader.fusion.fuse(reader.tokens(questions)), gold=gold)
        assert {len(target) for target in targets} == {2}
        assert {kind: cut for kind, cut in reader.cuts.kinds.items() if kind == "answers"} == counted


def train(start: Path, data: Path, out: Path, *more: str) -> list[str]:
    return ["train-reader", str(data), "--dev", str(data), "--reader", str(start), "-o", str(out), *TRAIN, *more]


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "last" / "model.safetensors")


def trainable(question_file: Path) -> Path:
    """Without the one question that has no passages, two times: 8 examples."""
    kept = [line for line in question_file.read_text().splitlines(keepends=True) if '"ctxs": []' not in line]
    path = question_file.with_name("train.jsonl")
    path.write_text("".join(kept * 2))
    return path


def test_settings_are_saved_with_the_model(reader_folder: Path, question_file: Path, tmp_path: Path) -> None:
    more = [
        "--n-context",
        "2",
        "--text-maxlength",
        "20",
        "--no-title",
        "--question-prefix",
        "q:",
        "--context-prefix",
        "c:",
    ]
    assert run(train(reader_folder, trainable(question_file), tmp_path / "out", *more, "--dropout", "0.3")) == 0
    settings = ReaderSettings.read(tmp_path / "out")
    assert settings == ReaderSettings("q:", "title:", "c:", title=False, text_maxlength=20, n_context=2)
    record = json.loads((tmp_path / "out" / "training.json").read_bytes())
    assert (record["dropout"], record["result"]["steps"]) == (0.3, 6)
    assert [line["step"] for line in lines(tmp_path / "out" / "log.jsonl") if "dev_em" in line] == [0, 3, 6]


def killed_and_continued(reader_folder: Path, question_file: Path, tmp_path: Path, *more: str) -> tuple[Path, Path]:
    """Two trained folders: one undisturbed, the other killed by SIGKILL somewhere after the first save, continued."""
    data, whole, broken = trainable(question_file), tmp_path / "whole", tmp_path / "broken"
    assert run(train(reader_folder, data, whole, *more)) == 0
    process = subprocess.Popen(fidtools(*train(reader_folder, data, broken, *more)), env=two_ranks.ON_CPU)
    partial = broken.with_name("broken.partial")
    while process.poll() is None and not list(partial.glob("state-*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not broken.exists()
    assert run(train(reader_folder, data, broken, *more, "--resume")) == 0
    return whole, broken


def test_resumed_training_is_exact(reader_folder: Path, question_file: Path, tmp_path: Path) -> None:
    """The same weights, bit for bit."""
    more = ["--steps", "60", "--save-every", "2", "--eval-every", "100"]
    whole, broken = killed_and_continued(reader_folder, question_file, tmp_path, *more)
    ours, theirs = weights(broken), weights(whole)
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)


def interrupted_after_one_group(command: list[str]) -> None:
    kept = Kept.write

    def write(self: Kept, group: list[Line]) -> None:
        if len(self.journal):
            raise KeyboardInterrupt
        kept(self, group)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kept, "write", write)
        assert run(command) == 130


def one_rank_and_two(
    reader_folder: Path, examples: Path, questions: list[Question], tmp_path: Path, *, read: list[str], more: list[str]
) -> tuple[Path, Path]:
    """Two trained folders, by one rank and by two, after `read` and `score-attn` of 45 questions gave equal bytes.

    The two ranks continue the `score-attn` of one rank that was interrupted after the first of three groups.
    """
    data = tmp_path / "data.jsonl"
    data.write_text(
        "".join(json.dumps(q.to_json() | {"id": f"{i} {q.id}"}) + "\n" for i in range(9) for q in questions)
    )

    def commands(name: str) -> list[list[str]]:
        scoring = [str(data), "--reader", str(reader_folder), "--precision", "float32", "-q", "-o"]
        return [
            ["read", *scoring, str(tmp_path / f"{name}.read"), *read],
            ["score-attn", *scoring, str(tmp_path / f"{name}.scored")],
            train(reader_folder, examples, tmp_path / name, *more),
        ]

    assert [run(command) for command in commands("one")] == [0, 0, 0]
    answering, scoring, training = commands("two")
    interrupted_after_one_group([*scoring, "--resume"])
    two_ranks.run_commands(answering, [*scoring, "--resume"], training)
    assert len(lines(tmp_path / "two.read")) == 45
    for kind in ("read", "scored"):
        assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()
    return tmp_path / "one", tmp_path / "two"


def test_two_ranks_give_what_one_gives(
    reader_folder: Path, question_file: Path, questions: list[Question], tmp_path: Path
) -> None:
    """`read` and `score-attn` to the byte, training to 1e-5."""
    more = ["--dropout", "0", "--batch", "4", "--lr", "1e-3"]
    one, two = one_rank_and_two(reader_folder, trainable(question_file), questions, tmp_path, read=[], more=more)
    start, ours, theirs = load_file(reader_folder / "model.safetensors"), weights(one), weights(two)
    assert max(float((ours[name] - start[name]).abs().max()) for name in ours) > 1e-3
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5


@pytest.mark.parametrize("option", ["--gradient-checkpointing", "--token-budget=1"])
def test_memory_options_do_not_change_training(
    reader_folder: Path, question_file: Path, tmp_path: Path, option: str
) -> None:
    data = trainable(question_file)
    more = ["--dropout", "0", "--lr", "1e-3"]
    assert run(train(reader_folder, data, tmp_path / "plain", *more)) == 0
    assert run(train(reader_folder, data, tmp_path / "other", *more, option)) == 0
    ours, theirs = weights(tmp_path / "plain"), weights(tmp_path / "other")
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5
