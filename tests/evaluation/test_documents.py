"""FEVER's and KILT's metrics: their own examples, and cases by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fidtools.data.records import Passage, Question
from fidtools.evaluation.completion import Inputs
from fidtools.evaluation.evidence import covering_rank, evidence_sets
from fidtools.evaluation.family import MetricSettings
from fidtools.evaluation.kilt import r_precision, recall_of_sets
from fidtools.evaluation.registry import measures
from fidtools.evaluation.scores import collect
from fidtools.formats.lookup import read_all


def kilt(shared, number: int) -> dict[str, float]:
    folder = "data/formats/kilt"
    inputs = Inputs(questions=shared(f"{folder}/gold{number}.jsonl"))
    _, questions = inputs.read(shared(f"{folder}/guess{number}_1.jsonl"))
    found = collect(questions, measures(MetricSettings(profile_name="kilt"), ["KILT", "EM", "F1"]))
    return {name: metric.value for name, metric in found.metrics().items()}


def test_kilt_s_own_examples(shared):
    """The numbers are those of the tests beside the samples."""
    first = kilt(shared, 1)
    assert first == pytest.approx(
        {"EM": 200 / 3, "F1": 250 / 3, "KILT-Rprec": 100 / 3, "KILT-recall@5": 100 / 3}
        | {"KILT-EM": 100 / 3, "KILT-F1": 100 / 3}
    )
    assert kilt(shared, 2) == pytest.approx({"KILT-Rprec": 50.0, "KILT-recall@5": 200 / 3})


def on_its_page(number: int, prediction: str | None) -> Question:
    output = [{"answer": "x", "provenance": [{"wikipedia_id": 7}]}]
    return Question(str(number), "?", ["x"], ctxs=[Passage("7", "x")], prediction=prediction, extra={"output": output})


def test_kilt_counts_a_missing_prediction_as_0_where_others_have_one():
    questions = [on_its_page(0, "x"), on_its_page(1, None), on_its_page(2, None), on_its_page(3, None)]
    scores = collect(questions, measures(MetricSettings(profile_name="kilt"), ["KILT", "EM"]))
    found = {name: (metric.value, metric.n) for name, metric in scores.metrics().items()}
    pages = {"KILT-Rprec": (100.0, 4), "KILT-recall@5": (100.0, 4)}
    assert found == {"EM": (25.0, 4), **pages, "KILT-EM": (25.0, 4), "KILT-F1": (25.0, 4)}
    assert "3 questions have no prediction: counted as 0 in KILT-EM, KILT-F1" in scores.notes


def test_kilt_names_pages_whose_ids_are_written_otherwise():
    written = replace(on_its_page(0, "x"), ctxs=[Passage("p", "x", extra={"wikipedia_id": 7.0})])
    for questions, notes in (([written], 1), ([written, on_its_page(1, "x")], 0)):
        scores = collect(questions, measures(MetricSettings(profile_name="kilt"), ["KILT"]))
        assert sum("(gold is 7, listed 7.0)" in note for note in scores.notes) == notes


def test_kilt_scores_no_answers_of_a_system_that_only_retrieves():
    lost = replace(on_its_page(1, None), ctxs=None)
    scores = collect([on_its_page(0, None), lost], measures(MetricSettings(profile_name="kilt"), ["KILT"]))
    found = {name: metric.value for name, metric in scores.metrics().items()}
    assert found == {"KILT-Rprec": 50.0, "KILT-recall@5": 50.0}
    assert scores.not_computed == dict.fromkeys(("KILT-EM", "KILT-F1"), "the questions have no prediction")


def test_a_set_of_pages_takes_the_place_of_its_last_page():
    sets = [frozenset("ab"), frozenset("c")]
    assert recall_of_sets(sets, list("axb"), 2) == 0.5  # a gives its place to the whole set: x, {a, b}
    assert recall_of_sets(sets, list("axb"), 1) == 0.0
    assert recall_of_sets(sets, list("abc"), 2) == 1.0
    assert r_precision(sets, list("axb")) == 0.5
    assert r_precision(sets, list("ca")) == 1.0


def claim(evidence: object, *titles: str, label: str = "SUPPORTS") -> Question:
    passages = [Passage(str(rank), "", title=title) for rank, title in enumerate(titles)]
    return Question("0", "?", ctxs=passages, extra={"evidence": evidence, "label": label})


def test_a_whole_evidence_set_must_be_found():
    evidence = [[[1, 1, "A", 0], [1, 1, "Soul_Food_-LRB-film-RRB-", 3]], [[1, 2, "C", 0]]]
    found = claim(evidence, "A", "x", "Soul Food (film)", "C")
    assert covering_rank(evidence_sets(found), found.ctxs) == 3
    values = collect([found, claim([[[9, None, None, None]]], "x", label="NOT ENOUGH INFO")], FEVER).metrics()
    assert {name: (metric.value, metric.n) for name, metric in values.items()} == {
        "evidence@1": (0.0, 1),
        "evidence@3": (100.0, 1),
        "oracle@1": (50.0, 2),
        "oracle@3": (100.0, 2),
    }


FEVER = measures(MetricSettings(), ["evidence@k", "oracle@k"], [1, 3])


def test_pages_are_the_same_in_either_spelling_of_an_accent():
    decomposed = claim([[[1, 1, "Beyonce\u0301", 0]]], "Beyonc\u00e9")
    assert covering_rank(evidence_sets(decomposed), decomposed.ctxs) == 1


def test_every_verifiable_claim_of_the_sample_has_evidence(shared):
    claims = list(read_all(shared("data/formats/raw/fever-paper_dev.100.jsonl"), "questions"))
    assert len(claims) == 100
    for found in claims:
        assert bool(evidence_sets(found)) == (found.extra["label"] != "NOT ENOUGH INFO")
        assert found.answers == [found.extra["label"]]


@pytest.mark.parametrize(
    ("prediction", "answers", "expected"),
    [
        ("the cat sat", ["a dog", "the cat ran"], 200 / 3),  # two of three words in order, both ways; the best answer
        ("The cat", ["the cat"], 50.0),  # letters count as they are written
        ("one two three four", ["one three"], 200 * 0.5 * 1 / 1.5),
        ("", ["a"], 0.0),
        (".", ["a"], 0.0),
        (" ".join(map(str, range(900))), [" ".join(map(str, range(1, 901)))], 100 * 899 / 900),
    ],
    ids=["best", "case", "uneven", "empty", "full-stop", "long"],
)
def test_kilt_s_rouge_of_long_answers(prediction, answers, expected):
    question = Question("1", "why?", answers=answers, prediction=prediction)
    found = collect([question], measures(MetricSettings(profile_name="kilt"), ["KILT-ROUGE-L"])).metrics()
    assert found["KILT-ROUGE-L"].value == pytest.approx(expected, rel=1e-6)
