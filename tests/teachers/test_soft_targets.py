"""A cross-encoder that learns from scores: its loss equals a slow one, and it learns the order of the scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from fidtools.cli import run
from fidtools.data.read import read_questions
from fidtools.errors import DataError, FidtoolsError
from fidtools.teachers.interface import TeacherSettings
from fidtools.teachers.objective import score_pairs
from fidtools.teachers.run_config import SoftTargets
from fidtools.teachers.soft_targets import SoftObjective, read_scored
from fidtools.teachers.teacher_folder import load_teacher
from fidtools.training.order import ExampleRef
from fidtools.training.targets import teacher_scores

Write = Callable[..., Path]
SETTINGS = TeacherSettings(maxlength=40)
QUICK = ["--batch", "8", "--precision", "float32", "--maxlength", "40", "--steps", "100", "--eval-every", "50"]


def log_softmax(values: list[float]) -> list[float]:
    total = math.log(sum(math.exp(value) for value in values))
    return [value - total for value in values]


def slow_loss(targets: SoftTargets, student: list[float], teacher: list[float]) -> float:
    """The losses of Izacard & Grave, section 3.4, and margin-MSE, one pair of passages after the other."""
    pairs = [(i, j) for i in range(len(student)) for j in range(len(student)) if i != j]
    if targets.loss == "kl":
        g = log_softmax([value / targets.teacher_temperature for value in teacher])
        s = log_softmax([value / targets.temperature for value in student])
        return sum(math.exp(a) * (a - b) for a, b in zip(g, s, strict=True))
    if targets.loss == "mse":
        return sum((a - b) ** 2 for a, b in zip(student, teacher, strict=True))
    if targets.loss == "margin":
        sign = [np.sign(teacher[i] - teacher[j]) for i, j in pairs]
        gaps = [student[i] - student[j] for i, j in pairs]
        return sum(max(0.0, targets.gamma - s * gap) for s, gap in zip(sign, gaps, strict=True) if s)
    errors = [((student[i] - student[j]) - (teacher[i] - teacher[j])) ** 2 for i, j in pairs]
    return sum(errors) / len(pairs)


@pytest.mark.parametrize("budget", [1, 200, 1 << 20])
@pytest.mark.parametrize(
    "targets",
    [
        SoftTargets(temperature=0.5, teacher_temperature=2.0),
        SoftTargets("mse"),
        SoftTargets("margin", gamma=0.7),
        SoftTargets("margin-mse"),
    ],
    ids=lambda targets: targets.loss,
)
def test_the_loss_equals_a_slow_one(plain_model: Path, questions: Write, targets: SoftTargets, budget: int) -> None:
    teacher = load_teacher(plain_model, new_head=True, maxlength=40)
    path = questions(count=5)
    teachers = {"attention": 1.0, "bm25": 0.5}
    items = read_scored(path, SETTINGS, teachers, 5, targets)
    objective = SoftObjective(teacher, items, [], targets=targets, negatives=2, seed=3, budget=budget)
    refs = [ExampleRef(index, epoch) for index, epoch in [(0, 0), (1, 0), (4, 2), (0, 1)]]
    found = sum(objective.module(batch).item() for batch in objective.micro_batches(refs))
    expected = 0.0
    asked = list(read_questions(path))
    for ref in refs:
        sampled = objective.sampled_passages(ref)
        scores = teacher_scores(asked[ref.index], 5, teachers)[sampled]
        assert scores[0] == max(scores)
        assert len(sampled) == 3
        passages = [items[ref.index].passages[place] for place in sampled]
        student = [float(score_pairs(teacher, [asked[ref.index].question], [p], 1)[0]) for p in passages]
        expected += slow_loss(targets, student, scores.tolist())
    assert found == pytest.approx(expected, rel=1e-5)


def test_dev_metrics_are_of_all_passages(plain_model: Path, questions: Write) -> None:
    teacher = load_teacher(plain_model, new_head=True, maxlength=40)
    targets = SoftTargets(teacher_temperature=1.5)
    items = read_scored(questions(count=4), SETTINGS, {"attention": 1.0}, 6, targets)
    objective = SoftObjective(teacher, items, items, targets=targets, negatives=2, seed=0, budget=100)
    metrics = objective.evaluate()
    losses, best = [], []
    for item in items:
        student = score_pairs(teacher, [item.question] * 6, item.passages, 1000)
        losses.append(slow_loss(targets, student.tolist(), item.scores.tolist()))
        best.append(student.argmax() == item.scores.argmax())
    assert metrics["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert metrics["selection"] == -metrics["loss"]
    assert metrics["overlap@1"] == pytest.approx(np.mean(best))


@pytest.mark.parametrize("loss", ["kl", "margin"])
def test_a_teacher_learns_the_order_of_scores_without_labels(
    plain_model: Path, questions: Write, tmp_path: Path, loss: str
) -> None:
    train = questions(count=8)
    bare = [orjson.loads(line) for line in train.read_bytes().splitlines()]
    for line in bare:
        del line["answers"], line["gold"]
    train.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in bare))
    teacher, output = tmp_path / "teacher", tmp_path / "scored.jsonl"
    start = ["--teacher", str(plain_model), "--lr", "3e-3", "--teacher-scores", "attention=1"]
    arguments = ["train-teacher", str(train), "--dev", str(train), "-o", str(teacher), *start, "--loss", loss, *QUICK]
    assert run(arguments) == 0
    result = orjson.loads((teacher / "training.json").read_bytes())["result"]
    assert result["metrics"]["overlap@1"] >= 0.5  # chance is 1 in 6; half of the scores' differences are noise
    assert run(["score-cross", str(train), "--teacher", str(teacher), "-o", str(output)]) == 0
    first = [(question.ctxs or [])[0] for question in read_questions(output)]
    assert np.mean([passage.scores["attention"] >= 4 for passage in first]) >= 0.75
    retriever = ["--teacher", "cross", "--retriever", str(plain_model), "--steps", "1", "--batch", "2"]
    assert run(["train-retriever", str(output), "-o", str(tmp_path / "r"), *retriever]) == 0


def test_a_finished_run_on_other_scores_is_not_taken_for_this_one(
    plain_model: Path, questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train-teacher", str(questions()), "--teacher", str(plain_model), "-o", str(tmp_path / "t")]
    words += ["--steps", "2", "--batch", "2", "--maxlength", "40", "--teacher-scores"]
    assert run([*words, "attention"]) == 0
    assert run([*words, "bm25", "--resume"]) == 2
    assert "teacher_scores was attention, is now bm25" in capsys.readouterr().err


def test_scores_that_teach_nothing_are_refused(questions: Write) -> None:
    path = questions(count=3)
    with pytest.raises(FidtoolsError, match=r"missing(.|\n)*available scores: attention, bm25"):
        read_scored(path, SETTINGS, {"likelihood": 1.0}, 6, SoftTargets())
    with pytest.raises(FidtoolsError, match="nearly uniform targets"):
        read_scored(path, SETTINGS, {"attention": 1.0}, 6, SoftTargets(teacher_temperature=1000))
    with pytest.raises(DataError, match="single passage"):
        read_scored(path, SETTINGS, {"attention": 1.0}, 1, SoftTargets())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--loss", "margin"], "a loss and its temperatures are for --teacher-scores"),
        (["--teacher-temperature", "2"], "a loss and its temperatures are for --teacher-scores"),
        (["--teacher-scores", "a=b"], "--teacher-scores a=b: expected NAME"),
    ],
)
def test_what_does_not_go_together_is_refused(
    plain_model: Path,
    questions: Write,
    tmp_path: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["train-teacher", str(questions()), "--teacher", str(plain_model), "-o", str(tmp_path / "t")]
    assert run([*words, *options]) == 2
    assert message in capsys.readouterr().err
