"""A corpus in two documents per topic, and a tiny retriever with random weights that has embedded it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from fidtools import cli
from fidtools.data.jsonl import write_lines
from tests.models import WORDS, bert_folder

torch.set_num_threads(1)


@dataclass(frozen=True)
class World:
    """Where everything lies."""

    folder: Path
    retriever: Path
    passages: Path
    embeddings: Path
    questions: Path

    def arguments(self, *more: object) -> list[str]:
        """Of `fidtools retrieve`, in float32 so that nothing depends on the machine."""
        fixed = ["retrieve", self.questions, "--retriever", self.retriever, "-p", self.passages]
        return [str(part) for part in (*fixed, "--pooling", "mean", "--precision", "float32", "-q", *more)]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder, draw = tmp_path_factory.mktemp("world"), random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=8)) for _ in range(150)]
    passages = [{"id": f"p{i}", "text": t, "doc_id": f"d{i % 7}", "mine": i} for i, t in enumerate(texts)]
    write_lines(folder / "passages.jsonl", passages)
    asked = [" ".join(draw.choices(WORDS, k=3)) for _ in range(40)]
    write_lines(
        folder / "q.jsonl", [{"id": f"q{i}", "question": t, "doc_id": f"d{i % 7}"} for i, t in enumerate(asked)]
    )
    made = World(
        folder, bert_folder(folder / "bert", layers=1), folder / "passages.jsonl", folder / "p.npy", folder / "q.jsonl"
    )
    embed(made, made.passages, made.embeddings)
    embed(made, made.questions, folder / "q.npy", "--questions")
    return made


def embed(world: World, texts: Path, output: Path, *more: str, model: Path | None = None) -> None:
    arguments = ["embed", texts, "--retriever", model or world.retriever, "-o", output, "--pooling", "mean"]
    assert cli.run([str(part) for part in (*arguments, "--precision", "float32", "-q", *more)]) == 0
