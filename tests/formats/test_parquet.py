"""Parquet as data engineers have it: vectors with ids become embeddings, texts become passages and questions."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import orjson
import pytest

from fidtools import cli
from fidtools.data.embeddings import read_embeddings
from fidtools.formats.lookup import detect_format, read_all
from fidtools.formats.parquet_files import ROWS_PER_BATCH

arrow = pytest.importorskip("pyarrow", reason="needs the extra export")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra export")


def written(path: Path, columns: dict[str, object]) -> Path:
    parquet.write_table(arrow.table(columns), path, row_group_size=ROWS_PER_BATCH - 7)
    return path


@pytest.mark.parametrize("number", ["float64", "float32", "float16"])
@pytest.mark.parametrize("fixed", [False, True])
def test_vectors_with_ids(fixed: bool, number: str, tmp_path: Path) -> None:
    rows = 2 * ROWS_PER_BATCH + 3
    vectors = np.random.default_rng(0).standard_normal((rows, 6)).astype(number)
    numbers = arrow.array(vectors.ravel())
    offsets = arrow.array(np.arange(0, 6 * rows + 1, 6, dtype=np.int32))
    column = (
        arrow.FixedSizeListArray.from_arrays(numbers, 6) if fixed else arrow.ListArray.from_arrays(offsets, numbers)
    )
    path = written(tmp_path / "x.parquet", {"text": ["t"] * rows, "id": range(1000, 1000 + rows), "ada": column})
    assert detect_format(path).name == "parquet-embeddings"
    assert cli.run(["convert", str(path), "-o", str(tmp_path / "x.npy"), "-q"]) == 0
    found = read_embeddings(tmp_path / "x.npy")
    kept = "float16" if number == "float16" else "float32"
    assert found.vectors.dtype == kept
    assert np.array_equal(found.vectors, vectors.astype(kept))
    assert list(found.ids) == [str(1000 + row) for row in range(rows)]
    texts = [p.to_json() for p in read_all(path, "passages", "parquet-passages")]
    assert texts == [{"id": str(1000 + row), "title": "", "text": "t"} for row in range(rows)]


def test_without_ids_rows_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", {"vector": [[1.0, 2.0], [3.0, 4.0]], "other": [[0.5], [0.5]]})
    ((ids, vectors),) = read_all(path, "embeddings")
    assert (ids, vectors.tolist()) == (["0", "1"], [[1.0, 2.0], [3.0, 4.0]])


def test_the_column_of_ids_in_any_case(tmp_path: Path) -> None:
    file = written(tmp_path / "v.parquet", {"ID": ["a", "b"], "embedding": [[1.0], [2.0]]})
    ((ids, _),) = read_all(file, "embeddings")
    assert ids == ["a", "b"]


def test_questions_and_passages(tmp_path: Path) -> None:
    day = datetime.date(2026, 11, 1)
    columns = {"Question": ["Who?", "Why?"], "answers": [["me", "I"], None], "asked": [day, None], "n": [1, 2]}
    path = written(tmp_path / "q.parquet", columns)
    assert cli.run(["convert", str(path), "-o", str(tmp_path / "q.jsonl"), "-q"]) == 0
    assert [orjson.loads(line) for line in (tmp_path / "q.jsonl").read_bytes().splitlines()] == [
        {"id": "0", "question": "Who?", "answers": ["me", "I"], "asked": "2026-11-01", "n": 1},
        {"id": "1", "question": "Why?", "n": 2},
    ]
    path = written(tmp_path / "p.parquet", {"text": ["soup", "cake"], "title": ["a", ""], "docid": ["x", "y"]})
    assert [p.to_json() for p in read_all(path, "passages")] == [
        {"id": "x", "title": "a", "text": "soup"},
        {"id": "y", "title": "", "text": "cake"},
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [[1.0], [2.0]], "b": [[1.0], [2.0]]}, "several columns of vectors (got a, b)"),
        ({"v": [[1.0, 2.0], [2.0]]}, "field 'v': rows 0 to 1: vectors are missing, or of different lengths"),
        ({"v": [[1.0], None]}, "field 'v': rows 0 to 1: vectors are missing, or of different lengths"),
        ({"v": [[1.0], [None]]}, "field 'v': rows 0 to 1: vectors are missing, or of different lengths"),
        ({"frage": ["wer?"]}, "format not recognized: it is a Parquet table; `convert` reads columns `question`"),
    ],
)
def test_what_cannot_be_read(columns: dict, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "x.parquet", columns)
    assert cli.run(["convert", str(path), "-o", str(tmp_path / "x.npy"), "-q"]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.npy").exists()


def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "x.parquet", {"v": np.ones((50, 8)).tolist()})
    content = path.read_bytes()
    for damaged in (content[:-20], content[:4] + bytes(60) + content[64:]):
        path.write_bytes(damaged)
        for name in ("parquet-embeddings", "parquet-questions"):
            assert cli.run(["convert", str(path), "--from", name, "-o", str(tmp_path / "x.npy"), "-q"]) == 1
            assert str(path) in capsys.readouterr().err


def test_text_that_is_not_marked_as_text(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    columns = {"id": [b"a", b"b"], "text": ["é".encode(), b"x"], "image": [b"\xff\xd8", b"\x89"]}
    parquet.write_table(arrow.table(columns), path)
    assert [passage.to_json() for passage in read_all(path, "passages")] == [
        {"id": "a", "title": "", "text": "é"},
        {"id": "b", "title": "", "text": "x"},
    ]


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (["question", "Question"], [["Who?"], ["Why?"]], "field 'name': two columns have this name (got question)"),
        (["question", "day"], [["Who?"], arrow.array([2**30], arrow.date32())], "rows 0 to 0: a value cannot be read"),
        (["id", "text"], [["1"], [b"\xff"]], ":1: field 'text': missing"),
    ],
)
def test_what_cannot_be_kept_is_refused(names: list[str], values: list, message: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(arrow.Table.from_arrays([arrow.array(column) for column in values], names=names), path)
    assert cli.run(["convert", str(path), "-q"]) == 1
    assert message in capsys.readouterr().err


def test_a_file_that_was_cut_off_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "x.parquet", {"question": ["Who?"] * 99})
    path.write_bytes(path.read_bytes()[:-20])
    assert cli.run(["convert", str(path), "-o", str(tmp_path / "q.jsonl"), "-q"]) == 1
    assert "a Parquet table whose end is missing" in capsys.readouterr().err
    assert not (tmp_path / "q.jsonl").exists()


def test_an_empty_text_is_kept_and_a_null_one_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "p.parquet", {"id": ["a", "b"], "title": ["A", ""], "text": ["", "soup"]})
    assert [p.to_json() for p in read_all(path, "passages")] == [
        {"id": "a", "title": "A", "text": ""},
        {"id": "b", "title": "", "text": "soup"},
    ]
    null = written(tmp_path / "n.parquet", {"id": ["a", "b"], "text": ["soup", None]})
    assert cli.run(["convert", str(null)]) == 1
    assert "n.parquet:2: field 'text': missing" in capsys.readouterr().err
    asked = written(tmp_path / "q.parquet", {"question": ["who?", "why?"], "text": ["", "t"], "answer": ["", "b"]})
    assert [q.to_json() for q in read_all(asked, "questions")] == [
        {"id": "0", "question": "who?"},
        {"id": "1", "question": "why?", "answers": ["b"], "text": "t"},
    ]
