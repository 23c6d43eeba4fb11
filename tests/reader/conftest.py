"""A tiny reader, and questions whose passages differ in number and length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fidtools.data.records import Passage, Question
from fidtools.reader.reader import Reader
from tests.models import tiny_reader


@pytest.fixture
def reader() -> Reader:
    return tiny_reader()


@pytest.fixture
def questions() -> list[Question]:
    """Five questions with 3, 1, 4, 0 and 2 passages of unequal length."""
    generator = torch.Generator().manual_seed(1)

    def words(n: int) -> str:
        return " ".join(f"w{int(i)}" for i in torch.randint(60, (n,), generator=generator))

    return [
        Question(
            id=f"q{i}",
            question=f"who founded {words(2)}",
            answers=[words(2)],
            ctxs=[Passage(id=f"p{j}", title=words(1), text=words(3 + 5 * j), score=float(9 - j)) for j in range(n)],
        )
        for i, n in enumerate([3, 1, 4, 0, 2])
    ]


@pytest.fixture
def reader_folder(tmp_path: Path, reader: Reader) -> Path:
    folder = tmp_path / "reader"
    folder.mkdir()
    reader.save(folder)
    return folder


@pytest.fixture
def question_file(tmp_path: Path, questions: list[Question]) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(q.to_json()) + "\n" for q in questions))
    return path


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in float32 depend on the number of threads: as in processes with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
