"""fuse: sums worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from fidtools import cli
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_questions
from fidtools.errors import MismatchError
from fidtools.search.rank_fusion import fuse


def ranking(path: Path, name: str, *lists: Sequence[tuple[str, float]]) -> str:
    write_lines(
        path,
        (
            {
                "id": f"q{i}",
                "question": "who?",
                "from": name,
                "ctxs": [{"id": p, "text": p, "score": s, "scores": {name: s}} for p, s in ctxs],
            }
            for i, ctxs in enumerate(lists)
        ),
    )
    return str(path)


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    return [
        ranking(tmp_path / "a.jsonl", "bm25", [("x", 9.0), ("y", 6.0), ("z", 3.0)], [("x", 1.0)], []),
        ranking(tmp_path / "b.jsonl", "dense", [("z", 2.0), ("w", 1.0), ("x", 0.0)], [("y", 5.0), ("x", 5.0)], []),
    ]


def fused(*arguments: object, **options: object) -> list[list[tuple[str | None, float]]]:
    return [[(p.id, p.scores["fused"]) for p in q.ctxs or []] for q in fuse(*arguments, **options)]  # type: ignore[arg-type]


def test_reciprocal_ranks(two: list[str]) -> None:
    x, z, y, w = 1 / 61 + 1 / 63, 1 / 63 + 1 / 61, 1 / 62, 1 / 62
    first, second, third = fused(two, 100)
    assert first == [("x", pytest.approx(x)), ("z", pytest.approx(z)), ("y", y), ("w", w)]
    assert second == [("x", pytest.approx(1 / 61 + 1 / 62)), ("y", 1 / 61)]
    assert third == []
    assert [len(ctxs) for ctxs in fused(two, 1)] == [1, 1, 0]


def test_reciprocal_ranks_with_weights_and_constant(two: list[str]) -> None:
    first = fused(two, 2, weights=[1.0, 3.0], constant=0)[0]
    assert first == [("z", pytest.approx(1 / 3 + 3 / 1)), ("x", pytest.approx(1 / 1 + 3 / 3))]


def test_scores_are_stretched_to_one_range(two: list[str]) -> None:
    first, second, _ = fused(two, 100, method="scores", weights=[0.25, 0.75])
    assert first == [("z", 0.75), ("w", 0.375), ("x", 0.25), ("y", 0.125)]
    assert second == [("x", 1.0), ("y", 0.75)]  # equal scores stretch to 1


def test_the_rest_is_the_first_files_and_scores_are_kept(two: list[str]) -> None:
    question = next(iter(fuse(two, 100)))
    assert question.extra == {"from": "bm25"}
    assert {p.id: set(p.scores) for p in question.ctxs or []} == {
        "x": {"bm25", "dense", "fused"},
        "z": {"bm25", "dense", "fused"},
        "y": {"bm25", "fused"},
        "w": {"dense", "fused"},
    }
    assert all(p.score == p.scores["fused"] for p in question.ctxs or [])


def test_files_that_do_not_belong_together(two: list[str], tmp_path: Path) -> None:
    lines = Path(two[1]).read_bytes().splitlines(keepends=True)
    (tmp_path / "short.jsonl").write_bytes(b"".join(lines[:2]))
    with pytest.raises(MismatchError, match=r"short.jsonl: ends before the other files"):
        fused([two[0], tmp_path / "short.jsonl"], 5)
    with pytest.raises(MismatchError, match=r"short.jsonl: ends before the other files"):
        fused([tmp_path / "short.jsonl", two[0]], 5)
    (tmp_path / "swapped.jsonl").write_bytes(lines[1] + lines[0] + lines[2])
    with pytest.raises(MismatchError, match=r"swapped.jsonl: question q1 where .*a.jsonl has q0"):
        fused([two[0], tmp_path / "swapped.jsonl"], 5)


def test_a_score_that_is_missing_is_not_invented(two: list[str], tmp_path: Path) -> None:
    line = {"id": "q0", "question": "who?", "ctxs": [{"id": "x", "text": "x"}]}
    (tmp_path / "c.jsonl").write_bytes(orjson.dumps(line))
    (tmp_path / "d.jsonl").write_bytes(orjson.dumps(line))
    with pytest.raises(MismatchError, match=r"c.jsonl:1: field 'ctxs': a passage without score"):
        fused([tmp_path / "c.jsonl", tmp_path / "d.jsonl"], 5, method="scores")
    assert fused([tmp_path / "c.jsonl", tmp_path / "d.jsonl"], 5) == [[("x", pytest.approx(2 / 61))]]


def test_the_command(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.jsonl"
    assert cli.run(["fuse", *two, "-k", "2", "-o", str(output)]) == 0
    assert [[p.id for p in q.ctxs or []] for q in read_questions(output)] == [["x", "z"], ["x", "y"], []]
    assert cli.run(["fuse", two[0]]) == 2
    assert cli.run(["fuse", *two, "--weight", "1"]) == 2
    assert "1 values of --weight for 2 files" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "value"), [("rrf", 1 / 61), ("scores", 1.0)])
def test_a_passage_listed_twice_counts_where_it_stands_first(method: str, value: float, tmp_path: Path) -> None:
    twice = ranking(tmp_path / "a.jsonl", "bm25", [("b", 4.0), ("a", 3.0), ("b", 2.0), ("c", 0.0)])
    other = ranking(tmp_path / "b.jsonl", "dense", [("d", 1.0)])
    found = dict(fused([twice, other], 10, method=method, weights=[1.0, 0.0])[0])
    assert found["b"] == value
    assert found["c"] == (1 / 64 if method == "rrf" else 0.0)
