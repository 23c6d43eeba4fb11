"""Passages drawn across documents, and questions divided by document."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fidtools.data.corpus import open_passages
from fidtools.data.jsonl import write_lines
from fidtools.data.records import Passage
from fidtools.data.spread import document_name, split_by_document, spread_rows

SIZES = {"a": 5, "b": 1, "c": 3}


@pytest.fixture
def corpus(tmp_path: Path):
    lines = [
        {"id": f"{doc}{i}", "title": "t", "text": "x", "doc_id": doc}
        for doc, size in SIZES.items()
        for i in range(size)
    ]
    write_lines(tmp_path / "passages.jsonl", lines)
    return open_passages(tmp_path / "passages.jsonl")


def test_every_document_comes_up_once_a_round(corpus) -> None:
    rows = spread_rows(corpus, seed=0)
    assert sorted(rows) == list(range(9))
    documents = [corpus[row].doc_id for row in rows]
    assert [set(documents[:3]), set(documents[3:5]), set(documents[5:7])] == [{"a", "b", "c"}, {"a", "c"}, {"a", "c"}]
    assert documents[7:] == ["a", "a"]


def test_a_draw_depends_on_the_seed_and_a_shorter_one_is_its_beginning(corpus) -> None:
    rows = spread_rows(corpus, seed=0)
    assert spread_rows(corpus, seed=0, count=4) == rows[:4]
    assert len({tuple(spread_rows(corpus, seed)) for seed in range(8)}) > 1


@pytest.mark.parametrize(
    ("passage", "name"),
    [
        (Passage("p", "x", "title", "doc"), "doc"),
        (Passage("p", "x", "title"), "title"),
        (Passage("p", "x"), "p"),
    ],
)
def test_what_tells_documents_apart(passage: Passage, name: str) -> None:
    assert document_name(passage) == name


def test_the_questions_of_a_document_stay_together() -> None:
    documents = [f"d{i % 40}" for i in range(200)]
    splits = split_by_document(documents, (60, 20, 20), seed=1)
    assert {len({s for d, s in zip(documents, splits, strict=True) if d == name}) for name in documents} == {1}
    assert Counter(splits) == {"train": 120, "dev": 40, "test": 40}
    assert splits != split_by_document(documents, (60, 20, 20), seed=2)


def test_few_documents_of_unequal_size_reach_every_split() -> None:
    documents = ["a"] * 10 + ["b"] * 3 + ["c"] * 2
    for seed in range(5):
        assert set(split_by_document(documents, (60, 20, 20), seed)) == {"train", "dev", "test"}


def test_a_split_without_a_share_gets_nothing() -> None:
    assert set(split_by_document(["a", "b", "c"], (1, 0, 0), 0)) == {"train"}
