"""Whatever the scores, who reads a run sees the order of the list; what a run cannot hold is counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fidtools.cli import run
from fidtools.data.jsonl import write_lines
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError
from fidtools.formats.lookup import detect_format, format_named, read_all
from fidtools.formats.run_lines import strictly_descending

RUNS = pytest.mark.parametrize("name", ["trec-run", "tevatron-run"])
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORD = st.text("abé東1:_-", min_size=1, max_size=6)
BELOW_ONE, BELOW_THAT, LEAST = 1 - 2**-24, 1 - 2**-23, 2**-126


def back(name, passages, path):
    question = Question("q", "", ctxs=[Passage(i, "", score=s) for i, s in passages])
    known = format_named(name)
    known.write(iter([question]), path)
    (found,) = read_all(path, known.kind, name)
    return [(p.id, p.score) for p in found.ctxs]


@MANY
@given(st.lists(WORD, unique=True, min_size=1, max_size=5), st.data())
@RUNS
def test_runs_keep_scores_to_the_last_digit_that_single_precision_tells_apart(name, tmp_path, ids, data):
    singles = st.floats(-1e6, 1e6, width=32)
    scores = data.draw(st.lists(singles, unique=True, min_size=len(ids), max_size=len(ids)))
    passages = list(zip(ids, sorted(scores, reverse=True), strict=True))
    assert back(name, passages, tmp_path / "run") == passages


@MANY
@given(st.lists(WORD, unique=True, max_size=5, min_size=1), st.lists(st.floats(-1e300, 1e30), min_size=5, max_size=5))
@RUNS
def test_the_order_survives_whatever_the_scores(name, tmp_path, ids, scores):
    scores = [max(score, -1e38) for score in scores]
    found = back(name, zip(ids, scores, strict=False), tmp_path / "run")
    assert [i for i, _ in found] == ids
    assert (np.diff(np.array([s for _, s in found], np.float32)) < 0).all()


@pytest.mark.parametrize(
    ("scores", "written"),
    [
        ([], []),
        ([1.0, 1.0, 1.0, 0.5], [1.0, BELOW_ONE, BELOW_THAT, 0.5]),
        ([1.0, 1.0, BELOW_ONE], [1.0, BELOW_ONE, BELOW_THAT]),
        ([1.0, 5.0, 4.0, 0.5], [1.0, BELOW_ONE, BELOW_THAT, 0.5]),
        ([1.0, 1.0 - 1e-12], [1.0, BELOW_ONE]),
        ([0.0, 0.0, -1.0], [0.0, -LEAST, -1.0]),
        ([LEAST, LEAST, LEAST], [LEAST, 0.0, -LEAST]),
        ([1e300, 1e299], [1e300, (2 - 2**-23) * 2.0**127]),
    ],
)
def test_lowered_scores_by_hand(scores, written):
    assert strictly_descending(scores) == written


def test_scores_below_single_precision_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"field 'ctxs.score': too low for single precision.*\(got -1e\+40\)"):
        back("trec-run", [("a", -1e39), ("b", -1e40)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_trec_eval_sees_the_order_of_the_list(tmp_path):
    trec_eval = pytest.importorskip("pytrec_eval", reason="needs fidtools[eval]")
    found = dict(back("trec-run", [("a", 1.0), ("b", 1.0), ("c", 1.0 - 1e-12)], tmp_path / "run"))
    for rank, name in enumerate("abc", 1):
        judged = trec_eval.RelevanceEvaluator({"q": {name: 1}}, {"recip_rank"})
        assert judged.evaluate({"q": found})["q"]["recip_rank"] == pytest.approx(1 / rank)


def passage(name: str, score: float, text: str = "x") -> dict[str, object]:
    return {"id": name, "text": text, "score": score}


LISTS = {
    "empty": [],
    "none": None,
    "plain": [passage("a", 2.0), passage("b", 1.0)],
    "tied": [passage("a", 1.0), passage("b", 1.0)],
    "unsorted": [passage("a", 1.0), passage("b", 2.0), passage("c", 0.5)],
    "twice": [passage("a", 3.0), passage("b", 2.0), passage("a", 1.0)],
}


@RUNS
def test_what_a_run_cannot_hold_is_counted(name, tmp_path, capsys):
    source, target = tmp_path / "in.jsonl", tmp_path / "run"
    write_lines(source, ({"id": i, "question": "Who?", "ctxs": c} for i, c in LISTS.items()))
    assert run(["convert", str(source), "--to", name, "-o", str(target)]) == 0
    assert capsys.readouterr().err.splitlines()[:4] == [
        "questions without passages, which a run cannot name: 2",
        "passages left out because the same id is higher in their list: 1",
        "lists with equal scores, lowered by the smallest step so that the order is kept: 1",
        "lists that are not in the order of their scores: 1; their order is kept and scores are lowered"
        " (--score score sorts them by their scores)",
    ]
    assert detect_format(target).name == name
    assert {q.id: [(p.id, p.score) for p in q.ctxs] for q in read_all(target, "questions")} == {
        "plain": [("a", 2.0), ("b", 1.0)],
        "tied": [("a", 1.0), ("b", BELOW_ONE)],
        "unsorted": [("a", 1.0), ("b", BELOW_ONE), ("c", 0.5)],
        "twice": [("a", 3.0), ("b", 2.0)],
    }
    again = tmp_path / "again"
    assert run(["convert", str(target), "--to", name, "-o", str(again)]) == 0
    assert again.read_bytes() == target.read_bytes()
    assert capsys.readouterr().err == f"{target}: {name} → {name}\n"


@RUNS
def test_scores_chosen_by_name_sort_the_list(name, tmp_path, capsys):
    write_lines(tmp_path / "in.jsonl", [{"id": "q", "question": "Who?", "ctxs": LISTS["unsorted"]}])
    arguments = ["--to", name, "--score", "score", "-o", str(tmp_path / "run")]
    assert run(["convert", str(tmp_path / "in.jsonl"), *arguments]) == 0
    (found,) = read_all(tmp_path / "run", "questions")
    assert [(p.id, p.score) for p in found.ctxs] == [("b", 2.0), ("a", 1.0), ("c", 0.5)]
    assert "order" not in capsys.readouterr().err


@RUNS
def test_two_texts_or_lists_under_one_id_are_refused(name, tmp_path, capsys):
    source, plain = tmp_path / "in.jsonl", {"id": "q", "question": "Who?", "ctxs": LISTS["plain"]}
    for lines, problem in (
        ([plain, plain], "in.jsonl:2: field 'id': also the id of line 1, which asks the same (got q)"),
        (
            [{**plain, "ctxs": [passage("a", 2.0), passage("a", 1.0, "y")]}],
            "in.jsonl:1: field 'ctxs.text': passage a of question q has another text than earlier in its list (got y)",
        ),
    ):
        write_lines(source, lines)
        assert run(["convert", str(source), "--to", name, "-o", str(tmp_path / "run")]) == 1
        assert problem in capsys.readouterr().err
        assert not (tmp_path / "run").exists()
