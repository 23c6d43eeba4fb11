"""Ids that are missing beside ids that are numbers: the number of a line would stand for two records."""

from __future__ import annotations

import pytest

from fidtools import cli

MIXED = "missing, but line {} has 3: the number of a line, which replaces a missing id, could be the same"


@pytest.mark.parametrize(
    ("name", "text", "line", "numeric"),
    [
        ("q.jsonl", '{"id": 3, "question": "a"}\n{"question": "b"}\n', 2, 1),
        ("q.jsonl", '{"id": "", "question": "a"}\n{"qid": "3", "question": "b"}\n', 1, 2),
        ("q.csv", "id,question\n3,a\n,b\n", 3, 2),
        ("p.csv", "id,text\n,a\n3,b\n", 2, 3),
        ("kilt.jsonl", '{"id": "3", "input": "a", "output": []}\n{"input": "b", "output": []}\n', 2, 1),
        ("fever.jsonl", '{"claim": "a", "evidence": [[[1, 2, "p", 0]]]}\n{"id": 3, "claim": "b"}\n', 1, 2),
        (
            "kgi.jsonl",
            '{"query": "a", "id": 3, "positive": {"pid": "p", "text": "t"}}\n'
            '{"query": "b", "positive": {"pid": "p", "text": "t"}}\n',
            2,
            1,
        ),
    ],
)
@pytest.mark.parametrize("target", ["jsonl", "dpr", "fid"])
def test_a_missing_id_beside_a_number_is_refused(name, text, line, numeric, target, tmp_path, capsys):
    (tmp_path / name).write_text(text)
    to = ["--to", target] if name != "p.csv" else []
    assert cli.run(["convert", str(tmp_path / name), "-o", str(tmp_path / "out"), *to]) == 1
    assert f"{name}:{line}: field 'id': {MIXED.format(numeric)}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("first", "second", "ids"),
    [("", "", ["0", "1"]), ('"id": "a", ', "", ["a", "1"]), ('"id": "7", ', '"id": "8", ', ["7", "8"])],
)
def test_other_files_are_read(first, second, ids, tmp_path, capsys):
    (tmp_path / "q.jsonl").write_text(f'{{{first}"question": "a"}}\n{{{second}"question": "b"}}\n')
    assert cli.run(["convert", str(tmp_path / "q.jsonl"), "-o", "-"]) == 0
    lines = [f'{{"id":"{identifier}","question":"{text}"}}' for identifier, text in zip(ids, "ab", strict=True)]
    assert capsys.readouterr().out.splitlines() == lines


def test_a_missing_id_beside_a_number_in_a_guess_is_refused(tmp_path, capsys):
    (tmp_path / "guess.jsonl").write_text(
        "".join(f'{{{first}"output": [{{"answer": "a"}}]}}\n' for first in ('"id": "3", ', ""))
    )
    assert cli.run(["convert", f"{tmp_path}/guess.jsonl", "--from", "kilt-guess"]) == 1
    assert f"guess.jsonl:2: field 'id': {MIXED.format(1)}" in capsys.readouterr().err


def test_questions_of_squad_without_ids_get_different_ones(tmp_path, capsys):
    questions = ",".join(f'{{"question": "{text}"{rest}}}' for text, rest in (("a", ""), ("b", ', "id": ""')))
    (tmp_path / "q.json").write_text(f'{{"data": [{{"paragraphs": [{{"context": "c", "qas": [{questions}]}}]}}]}}')
    assert cli.run(["convert", f"{tmp_path}/q.json", "-o", "-"]) == 0
    assert [line.split('"')[3] for line in capsys.readouterr().out.splitlines()] == ["0-0-0", "0-0-1"]
