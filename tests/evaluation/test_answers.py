"""Normal forms, exact match and F1: as the reference has them, and as published with real predictions."""

from __future__ import annotations

import json

import pytest

from fidtools.data.read import read_questions
from fidtools.formats.lookup import read_all
from fidtools.metrics.answers import exact_match, f1, normalize_answer, normalize_trivia
from tests import GOLDEN


@pytest.fixture(scope="module")
def golden():
    return json.loads((GOLDEN / "evaluation.json").read_text())


def test_normal_forms_equal_the_reference(golden):
    for case in golden["normalize_answer"]:
        assert normalize_answer(case["input"]) == case["normalize_answer"], case["input"]


def test_exact_matches_equal_the_reference(golden):
    for case in golden["ems"]:
        assert exact_match(case["prediction"], case["ground_truths"]) == case["ems"], case


@pytest.mark.parametrize(("system", "right"), [("DPR", 1477), ("FiD", 1678), ("FiD-KD", 1789)])
def test_published_exact_matches_come_out_of_the_files_as_they_are(shared, system, right):
    questions = list(read_questions(shared(f"data/reference-predictions/NQ_{system}.jsonl.gz")))
    assert len(questions) == 3610
    assert sum(exact_match(q.prediction, q.answers) for q in questions) == right


@pytest.mark.parametrize(
    ("prediction", "answers", "score"),
    [
        ("Paris France", ["paris"], 2 / 3),
        ("the cat cat", ["cat sat"], 2 * 1 / (2 + 2)),
        ("Paris", ["London", "paris!"], 1.0),
        ("", ["the"], 1.0),
        ("", ["word"], 0.0),
        ("word", [], 0.0),
    ],
)
def test_f1_by_hand(prediction, answers, score):
    assert f1(prediction, answers) == pytest.approx(score)


@pytest.mark.parametrize(
    ("text", "squad", "trivia"),
    [
        ("Jean-Luc's", "jeanlucs", "jean luc s"),
        ("the U.S._Navy", "usnavy", "u s navy"),
        ("‘A’ Team", "‘a’ team", "team"),
    ],
)
def test_triviaqa_parts_words_where_squad_joins_them(text, squad, trivia):
    assert (normalize_answer(text).replace("‘ ’", "‘a’"), normalize_trivia(text)) == (squad, trivia)


def test_triviaqa_s_normal_form_is_the_one_its_files_were_made_with(shared):
    questions = list(read_all(shared("data/formats/raw/triviaqa-sample.tgz"), "questions"))
    assert len(questions) == 11
    for question in questions:
        made = set(question.extra["Answer"]["NormalizedAliases"])
        assert {normalize_trivia(answer) for answer in question.answers} == made
