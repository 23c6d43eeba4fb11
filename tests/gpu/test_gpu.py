"""What a GPU computes is what a CPU computes, within the precision; and it computes the same again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fidtools import cli
from fidtools.search.exact import search
from fidtools.search.vectors import ArrayVectors
from tests.search.test_exact import MAKERS, brute_force, normal

from .conftest import PRECISIONS, Inputs, Runs

without_gpu = not torch.cuda.is_available()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(without_gpu and not os.environ.get("DRY"), reason="needs a GPU"),
]
ROUNDING = {"float32": 1e-4, "bf16": 0.08}  # of the largest number, of the CPU's float32
TRAINED = ["reader", "retriever"]


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def scores_in(path: Path) -> dict[str, np.ndarray]:
    """Each kind of score, (questions, passages), in the order of the passages' ids."""
    ordered = [sorted(line["ctxs"], key=lambda passage: passage["id"]) for line in read_lines(path)]
    names = ordered[0][0]["scores"]
    return {name: np.array([[passage["scores"][name] for passage in ctxs] for ctxs in ordered]) for name in names}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["attention", "likelihood"])
def test_scores(runs: Runs, name: str, precision: str) -> None:
    expected, found = (
        scores_in(runs.cpu / "float32" / f"{name}.jsonl"),
        scores_in(runs.gpu / precision / f"{name}.jsonl"),
    )
    assert found.keys() == expected.keys()
    for kind, values in expected.items():
        np.testing.assert_allclose(found[kind], values, atol=ROUNDING[precision] * np.abs(values).max(), err_msg=kind)


@pytest.mark.parametrize("name", ["greedy", "beams"])
def test_answers(runs: Runs, name: str) -> None:
    expected, found = (read_lines(folder / "float32" / f"{name}.jsonl") for folder in (runs.cpu, runs.gpu))
    assert [line["prediction"] for line in found] == [line["prediction"] for line in expected]
    assert [line["log_probability"] for line in found] == pytest.approx(
        [line["log_probability"] for line in expected], abs=1e-3
    )


@pytest.mark.parametrize("what", ["passages", "questions"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_embeddings(runs: Runs, what: str, precision: str) -> None:
    expected, found = np.load(runs.cpu / "float32" / f"{what}.npy"), np.load(runs.gpu / precision / f"{what}.npy")
    np.testing.assert_allclose(found, expected, atol=ROUNDING[precision] * np.abs(expected).max())


def test_rankings(runs: Runs) -> None:
    expected, found = (read_lines(folder / "float32" / "ranked.jsonl") for folder in (runs.cpu, runs.gpu))
    assert [[p["id"] for p in line["ctxs"]] for line in found] == [[p["id"] for p in line["ctxs"]] for line in expected]


@pytest.mark.parametrize("product", ["bf16", "float32"])
@pytest.mark.parametrize("vectors", MAKERS)
def test_exact_search(vectors: str, product: Any) -> None:
    passages, questions = MAKERS[vectors](9000, 24), normal(100, 24, seed=9)
    found = search(questions, ArrayVectors(passages), 25, product=product)
    rows, scores = brute_force(questions, passages, 25)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.scores, scores)


@pytest.mark.parametrize("trained", TRAINED)
def test_losses(runs: Runs, trained: str) -> None:
    """Twenty updates without dropout, whose draws differ between devices: the loss and the gradient's norm."""
    expected, found = (read_lines(folder / f"{trained}-plain" / "log.jsonl") for folder in (runs.cpu, runs.gpu))
    assert [line["step"] for line in found] == [1, 10, 20]
    for key in ("loss", "norm"):
        assert [line[key] for line in found] == pytest.approx([line[key] for line in expected], rel=2e-3)


@pytest.mark.parametrize("trained", TRAINED)
def test_training_again_with_the_same_seed(runs: Runs, trained: str) -> None:
    """With dropout. Sums of gradients may be taken in another order, so losses agree but for rounding."""
    first, again, other = (
        [line["loss"] for line in read_lines(folder / f"{trained}-{name}" / "log.jsonl")]
        for folder, name in ((runs.gpu, "dropout"), (runs.again, "dropout"), (runs.gpu, "other-seed"))
    )
    assert again == pytest.approx(first, rel=1e-3)
    assert other != pytest.approx(first, rel=1e-2)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("file", ["attention.jsonl", "likelihood.jsonl", "greedy.jsonl", "beams.jsonl", "ranked.jsonl"])
def test_a_second_run_writes_the_same_bytes(runs: Runs, file: str, precision: str) -> None:
    assert (runs.gpu / precision / file).read_bytes() == (runs.again / precision / file).read_bytes()


@pytest.mark.skipif(without_gpu, reason="needs a GPU")
def test_out_of_memory(inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "scored.jsonl"
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        code = cli.run(["score-attn", str(inputs.questions), "--reader", str(inputs.reader), "-o", str(output), "-q"])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith("fidtools: out of GPU memory")
    assert "--token-budget" in said
    assert not output.exists()
