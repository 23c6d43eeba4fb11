"""What a pointwise loss judges: scores on the scale of log-odds, begun where they are least wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch

from fidtools.cli import run
from fidtools.data.read import read_questions
from fidtools.retriever.calibration import Calibration, best_constant
from fidtools.retriever.encoding import load_retriever
from fidtools.retriever.losses import bce


def test_scores_begin_at_unit_spread_around_the_centre_in_their_order() -> None:
    scores, calibration = torch.tensor([0.011, 0.013, 0.019, 0.010]), Calibration(bias=True)
    assert calibration(scores).tolist() == scores.tolist()
    calibration.init_from_scores(scores, -2.2)
    found = calibration(scores)
    assert found.mean().item() == pytest.approx(-2.2, abs=1e-4)
    assert found.std(correction=0).item() == pytest.approx(1.0, abs=1e-4)
    assert found.argsort().tolist() == scores.argsort().tolist()


def test_equal_scores_keep_their_scale() -> None:
    calibration = Calibration(bias=True)
    calibration.init_from_scores(torch.full((5,), 3.0), -1.0)
    assert calibration(torch.tensor([3.0, 4.0])).tolist() == [-1.0, 0.0]


def test_scores_that_are_bounded_reach_any_log_odds() -> None:
    scores, labels = torch.tensor([[0.5, -0.5, -0.5]]), torch.tensor([[True, False, False]])
    calibration, mask = Calibration(bias=True), torch.ones(1, 3, dtype=torch.bool)
    optimizer = torch.optim.Adam(calibration.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss = bce(calibration(scores), scores, mask, labels, alpha=1.0).sum()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01 < bce(scores, scores, mask, labels, alpha=1.0).item()


@pytest.mark.parametrize(("alpha", "temperature"), [(1.0, 1.0), (0.5, 1.0), (0.2, 4.0), (0.0, 2.0)])
def test_no_other_score_for_all_passages_has_less_pointwise_loss(alpha: float, temperature: float) -> None:
    draw = np.random.default_rng(0)
    targets = [draw.normal(-3, 3, size=5) for _ in range(8)]
    labels = [row > 0 for row in targets]
    best = best_constant(targets, labels, alpha, temperature)
    teacher, relevant = torch.tensor(np.stack(targets)), torch.tensor(np.stack(labels))

    def loss(score: float) -> float:
        student, mask = torch.full_like(teacher, score), torch.ones_like(relevant)
        return bce(student, teacher, mask, relevant, alpha=alpha, temperature=temperature).sum().item()

    scores = np.linspace(-8, 8, 1601)
    assert best == pytest.approx(scores[np.argmin([loss(score) for score in scores])], abs=0.01)


def test_training_begins_there(questions: Callable[..., Path], tmp_path: Path) -> None:
    train, folder = questions(), tmp_path / "r"
    student = ["--student", "cnn", "--hidden", "4", "--word-dim", "4"]
    loss = ["--loss", "bce", "--alpha", "1", "--labels", "gold"]
    rest = ["--lr", "1e-9", "--steps", "1", "--batch", "4", "--n-passages", "6", "--precision", "float32", "-q"]
    files = [str(train), "--dev", str(train), "-o", str(folder)]
    assert run(["train-retriever", *files, *student, *loss, *rest]) == 0
    retriever, asked = load_retriever(folder), list(read_questions(train))
    passages = [question.ctxs or [] for question in asked]
    vectors = retriever.encode_questions([question.question for question in asked])
    scores = np.stack([retriever.encode_passages(p) @ v for p, v in zip(passages, vectors, strict=True)])
    labels = np.array([[p.id in q.extra["gold"] for p in ctxs] for q, ctxs in zip(asked, passages, strict=True)])
    share = labels.mean()
    odds = (scores - scores[:8].mean()) / scores[:8].std() + np.log(share / (1 - share))
    expected = np.where(labels, np.log1p(np.exp(-odds)), np.log1p(np.exp(odds))).mean()
    logged = [orjson.loads(line) for line in (folder / "log.jsonl").read_bytes().splitlines()]
    assert logged[-1]["selection"] == pytest.approx(-expected, abs=1e-4)
