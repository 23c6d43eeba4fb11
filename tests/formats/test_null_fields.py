"""Null fields inside the records of other programs' files count as absent: none becomes the word "None"."""

from __future__ import annotations

import orjson
import pytest

from fidtools import cli
from fidtools.data.jsonl import write_lines
from fidtools.data.records import Question
from fidtools.evaluation.kilt import kilt_sets
from fidtools.formats.lookup import read_all

PAGES = [{"wikipedia_id": None, "title": "T"}, {"wikipedia_id": "7", "title": None}]
SQUAD = {"data": [{"title": None, "paragraphs": [{"context": "c", "qas": [{"id": "1", "question": "q?"}]}]}]}
GUESS = {"id": None, "input": None, "output": [{"answer": "a", "provenance": PAGES}]}
KILT = {"id": "1", "input": "q?", "output": [{"answer": None, "provenance": PAGES}]}
PYSERINI = {"1": {"question": "q?", "contexts": [{"docid": "p", "score": 1, "text": None}]}}
CTXS = [{"id": "p", "text": "", "has_answer": None, "hasanswer": flag} for flag in (True, False)]


def test_questions_of_other_programs(tmp_path):
    file = tmp_path / "q.json"

    def read(record, name=None):
        file.write_bytes(orjson.dumps(record))
        (found,) = read_all(file, "questions", name)
        return found

    guess = read(GUESS, "kilt-guess")
    assert (guess.id, guess.question, [(p.id, p.title) for p in guess.ctxs]) == ("0", "", [("7", "")])
    assert read(KILT).extra["gold"] == ["7"]
    assert read(SQUAD).extra["title"] == ""
    assert [(p.id, p.text) for p in read(PYSERINI).ctxs] == [("p", "")]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"query_id": "1", "query": "q?", "positive_passages": [{"docid": None, "text": "x"}]}, "KeyError 'docid'"),
        ({"query": "q?", "positive_passages": [{"pid": None, "text": "x"}]}, "KeyError 'pid'"),
    ],
)
def test_a_gold_passage_without_its_id_is_refused(record, said, tmp_path, capsys):
    name = "tevatron" if "query_id" in record else "kgi"
    write_lines(tmp_path / "q.jsonl", [record])
    assert cli.run(["convert", f"{tmp_path}/q.jsonl", "--from", name]) == 1
    assert f"q.jsonl:1: does not have the fields of this format: {said}" in capsys.readouterr().err


def test_a_guess_in_a_list_is_refused(tmp_path, capsys):
    write_lines(tmp_path / "q.jsonl", [{"id": "1", "output": [{"answer": ["a"]}]}])
    assert cli.run(["convert", f"{tmp_path}/q.jsonl", "--from", "kilt-guess"]) == 1
    assert "q.jsonl:1: field 'answer': must be a string" in capsys.readouterr().err


def test_a_vector_without_id_is_refused(tmp_path, capsys):
    write_lines(tmp_path / "v.jsonl", [{"id": name, "contents": "x", "vector": [1.0]} for name in ("a", None)])
    assert cli.run(["convert", f"{tmp_path}/v.jsonl", "-o", f"{tmp_path}/v.npy"]) == 1
    assert "v.jsonl:2: field 'vector': must be a list of numbers, as many as on the first line, beside an id" in (
        capsys.readouterr().err
    )


def test_provenance_of_kilt_without_a_page():
    question = Question("1", "q?", extra={"output": [{"provenance": PAGES}, {"provenance": [None]}]})
    assert kilt_sets(question) == [frozenset({"7"})]


def test_a_null_flag_does_not_hide_another(tmp_path, capsys):
    write_lines(tmp_path / "q.jsonl", [{"id": "1", "question": "q?", "answers": ["a"], "ctxs": CTXS}])
    assert cli.run(["eval", f"{tmp_path}/q.jsonl", "-m", "R@1", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["files"][0]["metrics"]["R@1"]["value"] == 100.0


def test_a_null_label_does_not_hide_the_one_of_the_file(tmp_path, capsys):
    own = {"id": "1", "question": "q?", "ctxs": [{"id": "p", "text": "x"}]}
    write_lines(tmp_path / "q.jsonl", [own | {"gold": ["p"]}])
    write_lines(tmp_path / "labels.jsonl", [{"id": "1", "question": "q?", "answers": ["a"], "gold": None}])
    arguments = ["--questions", f"{tmp_path}/labels.jsonl", "-m", "gold-R@1", "--json"]
    assert cli.run(["eval", f"{tmp_path}/q.jsonl", *arguments]) == 0
    assert orjson.loads(capsys.readouterr().out)["files"][0]["metrics"]["gold-R@1"]["value"] == 100.0


@pytest.mark.parametrize(
    ("evidence", "answers"),
    [([], ["REFUTES"]), ([[[1, 2, "P", 0]]], ["REFUTES"]), ("a sentence", None), ({}, None), (["a"], None)],
)
def test_the_first_claim_of_a_file_may_have_no_evidence(evidence, answers, tmp_path):
    write_lines(tmp_path / "q.jsonl", [{"id": 1, "claim": "c", "label": "REFUTES", "evidence": evidence}])
    (found,) = read_all(tmp_path / "q.jsonl", "questions")
    assert found.answers == answers
