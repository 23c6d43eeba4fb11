"""Only what every tool takes for a number is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fidtools.cli import run
from fidtools.data.number_text import integer_of, number_of

NO_NUMBERS = ("1_0", "５", "٣", "1,5", "0x1f", "1e", ".", "", "1 0", "½")


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_python_alone_reads_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        number_of(text)
    with pytest.raises(ValueError, match="not an integer"):
        integer_of(text)


def test_the_spellings_of_numbers() -> None:
    spelled = ("1", "-1.5", "+2.", ".25", "1e3", "1E-3", " 7 ")
    assert [number_of(text) for text in spelled] == [1.0, -1.5, 2.0, 0.25, 1000.0, 0.001, 7.0]
    assert number_of("-Infinity") == float("-inf")
    assert [integer_of(text) for text in ("3", "-1", "+2", "1.0", "4.", " 5 ")] == [3, -1, 2, 1, 4, 5]


@pytest.mark.parametrize("bad", ["1_0", "５"])
@pytest.mark.parametrize(
    ("name", "content", "field"),
    [
        ("run.trec", "q Q0 d 1 {} tag\n", "score"),
        ("run.tsv", "q\td\t{}\n", "score"),
        ("j.qrels", "q 0 d {}\n", "grade"),
        ("q.jsonl", '{{"question": "who?", "ctxs": [{{"id": "d", "text": "t", "score": "{}"}}]}}\n', "ctxs[0].score"),
    ],
)
def test_files_with_such_numbers_are_refused(
    bad: str, name: str, content: str, field: str, tmp_path: Path, capfd
) -> None:
    (tmp_path / name).write_text(content.format(bad))
    assert run(["convert", str(tmp_path / name), "-o", str(tmp_path / "out")]) == 1
    kind = "an integer" if field == "grade" else "a number"
    assert f"{name}:1: field '{field}': must be {kind} (got {bad})" in capfd.readouterr().err
