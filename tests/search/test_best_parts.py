"""collapse: passages ranked by their best parts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from fidtools import cli
from fidtools.data.corpus import open_passages
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_questions
from fidtools.errors import DataError
from fidtools.search.best_parts import collapse

PASSAGES = [{"id": f"p{i}", "title": f"T{i}", "text": f"a{i} b{i}. c{i} d{i}. e{i}."} for i in range(6)]


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_lines("passages.jsonl", PASSAGES)


def run(*arguments: str, code: int = 0) -> None:
    assert cli.run([*arguments, "-q"]) == code


def lines(path: str) -> list[dict[str, Any]]:
    return [*map(orjson.loads, Path(path).read_bytes().splitlines())]


def ranked(*lists: list[dict[str, Any]], **fields: Any) -> None:
    questions = ({"id": f"q{i}", "question": "who?", "ctxs": ctxs} | fields for i, ctxs in enumerate(lists))
    write_lines("ranked.jsonl", questions)


def collapsed(k: int) -> list[list[tuple[str | None, float | None]]]:
    found = collapse(read_questions("ranked.jsonl"), open_passages("passages.jsonl"), k)
    return [[(p.id, p.score) for p in question.require_ctxs()] for question in found]


def test_a_passage_is_as_good_as_its_best_part() -> None:
    chance = random.Random(3)
    scores = {f"p{i}-{n}": chance.random() for i in range(6) for n in range(4)}
    parts = [{"id": p, "text": p, "passage_id": p.split("-")[0], "score": s} for p, s in scores.items()]
    ranked(sorted(parts, key=lambda part: -part["score"]))
    best = {f"p{i}": max(scores[f"p{i}-{n}"] for n in range(4)) for i in range(6)}
    expected = sorted(best.items(), key=lambda passage: -passage[1])
    assert collapsed(6) == [expected]
    assert collapsed(2) == [expected[:2]]


@pytest.mark.parametrize("fields", [{}, {"doc_id": "story", "page": 7}])
def test_parts_that_chunk_has_cut_lead_to_their_passages(fields: dict[str, Any]) -> None:
    write_lines("passages.jsonl", [passage | fields for passage in PASSAGES])
    write_lines("q.jsonl", [{"id": "q", "question": "d3 b5 e3", "doc_id": "story"}])
    run("chunk", "passages.jsonl", "--sentences", "--words", "2", "-o", "parts.jsonl")
    within = ["--within", "doc_id"] if fields else []
    run("bm25", "q.jsonl", "-p", "parts.jsonl", *within, "-o", "parts.ranked.jsonl")
    run("collapse", "parts.ranked.jsonl", "-p", "passages.jsonl", "-o", "ranked.jsonl")
    (parts,), (whole,) = lines("parts.ranked.jsonl"), lines("ranked.jsonl")
    assert [part["id"] for part in parts["ctxs"]] == ["p3-2", "p3-1", "p5-0"]
    scores = [parts["ctxs"][0]["score"], parts["ctxs"][2]["score"]]
    assert whole["ctxs"] == [
        PASSAGES[i] | fields | {"score": score, "scores": {"best-part": score}}
        for i, score in zip([3, 5], scores, strict=True)
    ]


def test_a_part_of_another_corpus_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    ranked([{"id": "p1-0", "text": "x", "doc_id": "p1"}, {"id": "z-0", "text": "x", "doc_id": "p1", "passage_id": "z"}])
    run("collapse", "ranked.jsonl", "-p", "passages.jsonl", "-o", "out.jsonl", code=1)
    told = capsys.readouterr().err
    assert told.startswith("fidtools: ranked.jsonl:1: field 'ctxs.passage_id': the passage z-0 of question q0 is no")
    assert not Path("out.jsonl").exists()
    ranked([{"id": "p1", "text": "x"}])
    with pytest.raises(DataError, match="the passage p1 of question q0 is no part of a passage of passages.jsonl"):
        collapsed(1)


def test_lists_that_end_too_early_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    parts = [{"id": f"p{i}-0", "text": "x", "doc_id": f"p{i}"} for i in range(4)]
    ranked(parts, parts[:3], [])
    assert collapsed(4) == [[(f"p{i}", None) for i in range(n)] for n in (4, 3, 0)]
    assert caplog.messages[0].startswith("questions with parts of fewer than 4 passages: 2\n")
    caplog.clear()
    ranked([{"id": f"p{i}-0", "text": "x", "doc_id": f"p{i}"} for i in range(6)])
    assert len(collapsed(100)[0]) == 6
    assert caplog.messages == []


def test_a_document_that_is_found_whole_is_not_too_short(caplog: pytest.LogCaptureFixture) -> None:
    write_lines("passages.jsonl", [passage | {"doc_id": f"d{i // 3}"} for i, passage in enumerate(PASSAGES)])
    parts = [{"id": f"p{i}-0", "text": "x", "passage_id": f"p{i}"} for i in range(3)]
    ranked(parts, doc_id="d0")
    assert len(collapsed(6)[0]) == 3
    assert caplog.messages == []
    ranked(parts[1:], doc_id="d0")
    assert len(collapsed(6)[0]) == 2
    assert caplog.messages[0].startswith("questions with parts of fewer than 6 passages: 1\n")


def test_answers_from_the_parts_are_not_kept() -> None:
    ranked([{"id": "p1-0", "text": "x", "doc_id": "p1"}], prediction="x", kept=1)
    (question,) = collapse(read_questions("ranked.jsonl"), open_passages("passages.jsonl"), 1)
    assert (question.prediction, question.extra) == (None, {"kept": 1})
