"""Which passages are relevant by whatever labels a question has."""

from __future__ import annotations

import pytest

from fidtools.data.records import Passage, Question
from fidtools.errors import DataError
from fidtools.metrics.relevance import known_relevance

LISTED = [Passage("p1", "Rome"), Passage("p2", "Paris")]


def known(gold: object, answers: list[str] | None = None) -> list[bool] | None:
    found = known_relevance(Question("0", "?", answers, ctxs=LISTED, extra={"gold": gold}))
    return None if found is None else found.tolist()


def test_gold_comes_before_answers_unless_it_names_no_passage():
    assert known(["p1"], ["Paris"]) == [True, False]
    for none in (None, [], {}, {"p1": 0}):
        assert known(none, ["Paris"]) == [False, True]
        assert known(none) is None


def test_gold_that_cannot_be_read_is_refused():
    with pytest.raises(DataError, match="field 'gold': must be a list of passage ids"):
        known([1.5], ["Paris"])
