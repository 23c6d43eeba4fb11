"""The files of `fidtools compare`: all of them are looked at before the first is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from fidtools.cli import run


@pytest.mark.parametrize(
    ("systems", "code", "said"),
    [
        (["a.jsonl,", "a.jsonl"], 2, "'a.jsonl,' names an empty file: a system is FILE, or FILE,FILE for several runs"),
        (["a.jsonl", "a.jsonl,,a.jsonl"], 2, "'a.jsonl,,a.jsonl' names an empty file"),
        (["a.jsonl", "b.jsonl"], 1, "b.jsonl: no such file or directory"),
        (["a.jsonl", "a.jsonl,b.jsonl"], 1, "b.jsonl: no such file or directory"),
    ],
)
def test_a_file_that_is_not_there_is_named_before_another_is_read(
    systems: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text("{")  # which reading would find
    assert run(["compare", *systems]) == code
    assert said in capsys.readouterr().err


def test_a_file_with_a_comma_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    line = '{"id": "%s", "question": "q", "answers": ["a"], "ctxs": [{"id": "p", "text": "a"}]}\n'
    for name in ("a,b.jsonl", "c.jsonl"):
        (tmp_path / name).write_text(line % 1 + line % 2)
    assert run(["compare", "a,b.jsonl", "c.jsonl", "--k", "1", "--resamples", "100"]) == 0
    assert "R@1\ta,b.jsonl\tc.jsonl\t2\t100.0000\t100.0000\t" in capsys.readouterr().out
