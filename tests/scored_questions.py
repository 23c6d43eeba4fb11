"""Fixtures for retrievers and teachers: a tiny encoder, and questions whose scores can be learned."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.models import WORDS, bert_folder


def write_questions(path: Path, count: int, passages: int = 6, *, seed: int = 0, **fields: Any) -> Path:
    """Questions of two words; a passage's score `attention` is the number of the question's words in it."""
    draw = random.Random(seed)
    lines = []
    for number in range(count):
        asked = draw.sample(WORDS, 2)
        ctxs = []
        for place in range(passages):
            words = draw.choices(WORDS, k=draw.randint(3, 9)) + asked[: place % 3]
            draw.shuffle(words)
            score = 2.0 * (place % 3) + draw.random()
            ctxs.append(
                {
                    "id": f"{number}-{place}",
                    "title": words[0],
                    "text": " ".join(words[1:]),
                    "score": score,
                    "scores": {"attention": score, "bm25": -score + draw.random()},
                }
            )
        line = {"id": f"q{number}", "question": " ".join(asked), "answers": asked[:1], "gold": [f"{number}-2"]}
        lines.append(line | {"ctxs": ctxs} | fields)
    path.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
    return path


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT folder as transformers writes it, without a retriever's settings."""
    return bert_folder(tmp_path_factory.mktemp("plain") / "bert")


@pytest.fixture
def questions(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of scored questions."""

    def write(name: str = "train.jsonl", count: int = 12, passages: int = 6, **options: Any) -> Path:
        return write_questions(tmp_path / name, count, passages, **options)

    return write
