"""fidtools teacher-report: every figure against its definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from fidtools.cli import run
from fidtools.retriever.teacher_report import TEMPERATURES, auc, best_temperature, report


def slow_auc(scores: list[float], relevant: list[bool]) -> float:
    pairs = [
        (a, b) for a, x in zip(scores, relevant, strict=True) for b, y in zip(scores, relevant, strict=True) if x > y
    ]
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


def test_auc_counts_pairs_in_the_right_order() -> None:
    draw = np.random.default_rng(0)
    scores = draw.integers(0, 5, 30).astype(float)  # with ties
    relevant = draw.random(30) < 0.3
    assert auc(scores, relevant) == pytest.approx(slow_auc(scores.tolist(), relevant.tolist()))
    assert auc(scores, np.ones(30, dtype=bool)) is None


def test_the_best_temperature_trusts_a_good_teacher_and_doubts_a_bad_one() -> None:
    good, bad = np.array([True, False, False, False]), np.array([False, True, False, False])
    scores = np.array([3.0, 1.0, 0.5, 0.0])
    assert best_temperature([(scores, good)]) == TEMPERATURES[0]
    assert best_temperature([(scores, bad)]) > 10

    def lost(temperature: float) -> float:
        weights = np.exp(scores / temperature)
        return -math.log(weights[0] / weights.sum()) - math.log(weights[1] / weights.sum())

    assert best_temperature([(scores, good), (scores, bad)]) == min(TEMPERATURES[6:], key=lost)


def test_the_report_of_a_file(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    def ctx(identifier: str, text: str, attention: float, bm25: float) -> dict[str, object]:
        return {"id": identifier, "text": text, "scores": {"attention": attention, "bm25": bm25}}

    first = [ctx("a", "the Po", 3, 9), ctx("b", "x", 1, 8), ctx("c", "a river Po flows", 2, 7)]
    second = [ctx("d", "xx", 1, 2), ctx("e", "y", 1, 1)]
    lines = [
        {"question": "which river?", "answers": ["Po"], "gold": ["c"], "ctxs": first},
        {"question": "what?", "answers": ["absent"], "gold": ["e"], "ctxs": second},
    ]
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    found = report(path, {"attention": 1.0}, None)
    target = np.exp([3, 1, 2]) / np.exp([3, 1, 2]).sum()
    assert found.effective == pytest.approx((np.exp(-(target * np.log(target)).sum()) + 2) / 2)
    assert (found.questions, found.passages, found.uniform) == (2, 2.5, 1)
    assert found.auc_answer == 1.0  # a and c before b; the second question has no answer to find
    assert found.auc_gold == pytest.approx((0.5 + 0.5) / 2)
    assert found.length == pytest.approx(0.5)  # lengths 6, 1, 16 against 3, 1, 2
    assert found.rank == pytest.approx(-0.5)
    assert found.temperature_by == "gold"
    assert run(["teacher-report", str(path), "--json"]) == 0
    assert orjson.loads(capsysbinary.readouterr().out)["auc_answer"] == 1.0


def test_equal_earlier_scores_say_nothing_of_their_order(tmp_path: Path) -> None:
    def ctxs(before: list[float]) -> list[dict[str, object]]:
        names = ({"attention": 9.0 - i, "previous": value} for i, value in enumerate(before))
        return [{"id": str(i), "text": "t", "scores": scores} for i, scores in enumerate(names)]

    lines = [{"question": "?", "answers": ["a"], "ctxs": ctxs(before)} for before in ([1, 1, 1], [2, 1, 1])]
    (tmp_path / "t.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    found = report(tmp_path / "t.jsonl", {"attention": 1.0}, None)
    assert found.rank == pytest.approx(-math.sqrt(3) / 2)  # of 9, 8, 7 with ranks 1, 2.5, 2.5; equal ones count not


def test_the_table_names_every_figure(questions: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["teacher-report", str(questions(count=5)), "--teacher", "attention=1,bm25=1"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["questions", "5"]
    assert "AUC against gold passages" in out
    assert "best temperature (by gold)" in out


def scored(path: Path, seed: int, signal: float) -> Path:
    """Questions whose passages are scored by chance, plus `signal` for those with an answer."""
    draw = np.random.default_rng(seed)
    with path.open("wb") as out:
        for number in range(60):
            right = draw.random(10) < 0.3
            scores = draw.standard_normal(10) + signal * right
            ctxs = [
                {"id": str(i), "title": "", "text": "Oslo" if has else "Rome", "scores": {"attention": float(score)}}
                for i, (has, score) in enumerate(zip(right, scores, strict=True))
            ]
            gold = [passage["id"] for passage in ctxs if passage["text"] == "Oslo"]
            question = {"id": str(number), "question": "Where?", "answers": ["Oslo"], "gold": gold, "ctxs": ctxs}
            out.write(orjson.dumps(question) + b"\n")
    return path


def test_a_teacher_no_better_than_chance_is_warned_of(tmp_path, capsys) -> None:
    file = scored(tmp_path / "chance.jsonl", seed=0, signal=0.0)
    assert run(["teacher-report", str(file), "-o", str(tmp_path / "report.txt")]) == 0
    said = capsys.readouterr().err
    assert f"{file}: the scores separate passages with an answer from others no better than chance (AUC 0.4" in said
    assert f"{file}: the scores separate gold passages from others no better than chance (AUC 0.4" in said
    assert "AUC against gold passages" in (tmp_path / "report.txt").read_text()


def test_a_good_teacher_is_not_warned_of(tmp_path, capsys) -> None:
    file = scored(tmp_path / "good.jsonl", seed=0, signal=2.0)
    assert run(["teacher-report", str(file), "-o", str(tmp_path / "report.txt")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (["--preset", "atlas"], np.array([-0.2, -0.22]) / 0.01),
        (["--preset", "replug"], np.exp([-0.2, -0.22]) / 0.1),
        (["--preset", "replug", "--teacher-temperature", "2"], np.exp([-0.2, -0.22]) / 2),
        (["--probabilities"], np.exp([-0.2, -0.22])),
        (["--source-passage", "cap"], np.array([-0.22, -0.22])),
        (["--source-passage", "drop"], np.array([-0.22])),
    ],
)
def test_the_target_is_that_of_a_training_with_the_same_options(tmp_path, capsysbinary, options, target) -> None:
    ctxs = [
        {"id": name, "text": name, "scores": {"question-likelihood": score}}
        for name, score in (("a", -0.2), ("b", -0.22))
    ]
    question = {"question": "?", "answers": ["a"], "gold": ["a"], "synthetic": True, "ctxs": ctxs}
    (tmp_path / "t.jsonl").write_bytes(orjson.dumps(question))
    assert run(["teacher-report", f"{tmp_path}/t.jsonl", "--teacher", "question-likelihood", "--json", *options]) == 0
    weights = np.exp(target) / np.exp(target).sum()
    effective = np.exp(-(weights * np.log(weights)).sum())
    assert orjson.loads(capsysbinary.readouterr().out)["effective"] == pytest.approx(effective)
