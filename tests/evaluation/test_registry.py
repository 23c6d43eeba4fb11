"""The registry of metrics: every name builds a measure, as its family describes."""

from __future__ import annotations

import pytest

from fidtools.errors import UsageError
from fidtools.evaluation.family import CUTOFF, MetricSettings
from fidtools.evaluation.profiles import PROFILES
from fidtools.evaluation.registry import FAMILIES, expand, measures

NAMES = [name for family in FAMILIES for name in family.names]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.names[0])
def test_every_family_builds_one_measure_of_its_unit(family):
    (measure,) = measures(MetricSettings(), family.names, [1, 5])
    assert measure.unit == family.unit
    if family.names != ("KILT",):  # stands for four metrics
        assert list(measure.names) == expand(family.names, [1, 5])


def test_no_name_belongs_to_two_families():
    assert len(NAMES) == len(set(NAMES))
    for name in expand(NAMES, [7]):
        assert sum(family.has(name) for family in FAMILIES) == 1


@pytest.mark.parametrize("name", ["R@", "R@0", "R@05", "R@x", "R@k", "xR@5", "EM@5", "gold-R"])
def test_a_cut_off_is_a_positive_integer_of_a_metric_that_has_one(name):
    assert any(family.has(name) for family in FAMILIES) == (name == f"R{CUTOFF}")


def test_profiles_name_metrics_that_exist():
    assert {name for profile in PROFILES.values() for name in profile.metrics} <= set(NAMES)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("R5", "R@5"),
        ("r@20", "R@20"),
        ("gold-r@5", "gold-R@5"),
        ("gold_R10", "gold-R@10"),
        ("em", "EM"),
        ("f1", "F1"),
        ("bleu1", "BLEU-1"),
        ("rouge-l", "ROUGE-L"),
        ("ndcg@10", "nDCG@10"),
        ("recall@5", "Recall@5"),
        ("R@5 ", "R@5"),
        ("R@ 5", "R@5"),
        (" nDCG@10", "nDCG@10"),
    ],
)
def test_an_unknown_metric_names_the_likely_one(name, meant):
    with pytest.raises(UsageError) as error:
        measures(MetricSettings(), [name])
    assert error.value.message == f"unknown metric: {name}. Did you mean {meant}?"


@pytest.mark.parametrize("name", ["R@0", "R@05", "R@1_0", "P@５", "nonsense", ""])
def test_a_name_like_no_metric_has_no_suggestion(name):
    with pytest.raises(UsageError) as error:
        measures(MetricSettings(), [name])
    assert error.value.message == f"unknown metric: {name}"
