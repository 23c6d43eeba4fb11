"""The same commands on the GPU, on it once more, and on the CPU, with tiny models of random weights.

`DRY=1` runs all three on the CPU where there is no GPU, which checks the tests themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.models import tiny_reader
from tests.scored_questions import plain_model, write_questions
from tests.two_ranks import RUN_COMMANDS

__all__ = ["plain_model"]
PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True)
class Runs:
    """Folders with the commands' outputs."""

    cpu: Path
    gpu: Path
    again: Path


@dataclass(frozen=True)
class Inputs:
    """What the commands start from."""

    questions: Path
    passages: Path
    reader: Path
    encoder: Path


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, plain_model: Path) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    reader = folder / "reader"
    reader.mkdir()
    tiny_reader().save(reader)
    questions = write_questions(folder / "questions.jsonl", 12)
    found = [passage for line in questions.read_text().splitlines() for passage in json.loads(line)["ctxs"]]
    passages = folder / "passages.jsonl"
    passages.write_text("".join(json.dumps({k: p[k] for k in ("id", "title", "text")}) + "\n" for p in found))
    return Inputs(questions, passages, reader, plain_model)


@pytest.fixture(scope="session")
def runs(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """All outputs; the three processes run side by side."""
    made = Runs(*(tmp_path_factory.mktemp(name) for name in ("cpu", "gpu", "again")))
    without = {"CUDA_VISIBLE_DEVICES": ""}
    started = [
        (start(commands(inputs, folder), environment))
        for folder, environment in ((made.cpu, without), (made.gpu, {}), (made.again, {}))
    ]
    for process in started:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said[-3000:]
    return made


def start(lines: list[list[str]], environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, str(RUN_COMMANDS), json.dumps(lines)]
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(command, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def commands(inputs: Inputs, folder: Path) -> list[list[str]]:
    """Everything, in both precisions where rankings are made, and training without dropout and with it."""
    every: list[list[Any]] = []
    for precision in PRECISIONS:
        out = folder / precision
        out.mkdir()
        reader = [inputs.questions, "--reader", inputs.reader, "--precision", precision, "-q", "-o"]
        retriever = ["--retriever", inputs.encoder, "--pooling", "mean", "--precision", precision, "-q", "-o"]
        every += [
            ["score-attn", *reader, out / "attention.jsonl", "--aggregate", "all", "--target", "gold"],
            ["score-likelihood", *reader, out / "likelihood.jsonl"],
            ["read", *reader, out / "greedy.jsonl", "--answer-maxlength", 8],
            ["read", *reader, out / "beams.jsonl", "--answer-maxlength", 8, "--beams", 3, "--n-best", 2],
            ["embed", inputs.passages, *retriever, out / "passages.npy"],
            ["embed", "--questions", inputs.questions, *retriever, out / "questions.npy"],
            [*search_of(inputs, out / "passages.npy"), *retriever, out / "ranked.jsonl"],
        ]
    steps = ["--steps", 20, "--batch", 4, "--precision", "float32", "-q"]
    for name, options in (("plain", ["--dropout", 0]), ("dropout", []), ("other-seed", ["--seed", 1])):
        start_of_reader = ["--reader", inputs.reader, "-o", folder / f"reader-{name}"]
        start_of_retriever = ["--retriever", inputs.encoder, "-o", folder / f"retriever-{name}", "--n-passages", 6]
        every.append(["train-reader", inputs.questions, *start_of_reader, *steps, *options])
        every.append(["train-retriever", inputs.questions, *start_of_retriever, *steps, *options])
    return [[str(part) for part in line] for line in every]


def search_of(inputs: Inputs, embeddings: Path) -> list[Any]:
    return ["retrieve", inputs.questions, "--embeddings", embeddings, "-p", inputs.passages, "-k", 20]
