"""Metrics from judgements: the output that trec_eval is shipped with, question by question."""

from __future__ import annotations

import pytest

from fidtools.data.records import Passage, Question
from fidtools.evaluation.completion import Inputs
from fidtools.evaluation.family import MetricSettings
from fidtools.evaluation.gold import Gold
from fidtools.evaluation.registry import measures
from fidtools.evaluation.scores import collect
from fidtools.formats.lookup import read_all
from fidtools.formats.qrels import qrels_by_question

pytest.importorskip("ir_measures")
NAMES = {"AP": "map", "Rprec": "Rprec", "Bpref": "bpref", "MRR": "recip_rank", "P@5": "P_5", "P@100": "P_100"}


def test_trec_eval_s_own_example_question_by_question(shared):
    run, judged = shared("data/formats/trec/trec_eval.results.test"), shared("data/formats/trec/trec_eval.qrels.test")
    qrels = qrels_by_question(read_all(judged, "qrels"), judged)
    format_name, questions = Inputs().read(run)
    scores = collect(questions, measures(MetricSettings(gold=Gold(qrels=qrels)), list(NAMES)))
    assert format_name == "trec-run"
    expected = list(read_all(shared("data/formats/trec/trec_eval.out.test.aq"), "measures"))
    for ours, theirs in NAMES.items():
        values = {line.question: line.value for line in expected if line.measure == theirs}
        for row, name in enumerate(scores.ids):
            assert f"{scores.values[ours][row]:.4f}" == values[name], (ours, name)
        assert f"{scores.metrics()[ours].value:.4f}" == values["all"], ours


def test_order_of_the_list_decides_and_graded_judgements_count():
    ctxs = [Passage("b", "", score=1.0), Passage("a", "", score=1.0), Passage("b", "", score=0.5)]
    question = Question("0", "?", ctxs=ctxs, extra={"gold": {"a": 2, "b": 1, "c": 0}})
    found = collect([question], measures(MetricSettings(), ["MRR", "nDCG@2", "Recall@1", "gold-R@1"]))
    values = {name: metric.value for name, metric in found.metrics().items()}
    assert values["MRR"] == 1.0
    assert values["Recall@1"] == 0.5
    assert values["gold-R@1"] == 100.0
    assert values["nDCG@2"] == pytest.approx((1 + 2 / 1.5849625) / (2 + 1 / 1.5849625))


def test_judged_questions_without_a_line_are_said():
    gold = Gold(qrels={"0": {"a": 1}, "1": {"b": 1}})
    found = collect([Question("0", "?", ctxs=[Passage("a", "")])], measures(MetricSettings(gold=gold), ["AP"]))
    assert found.metrics()["AP"].value == 1.0
    assert found.notes == ["1 judged questions are not in the file: left out"]
