"""Groups of questions that share passages: every question once an epoch, alike ones together, fewer passages."""

from __future__ import annotations

import numpy as np
import pytest

from fidtools.retriever.question_groups import QuestionGroups

TOPICS = 6
QUESTIONS = [
    np.array([10 * topic + (number + k) % 7 for k in range(4)]) for topic in range(TOPICS) for number in range(8)
]


def distinct(order: list[int], batch: int) -> float:
    """The mean number of distinct passages in a batch of questions."""
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    return float(np.mean([len(np.unique(np.concatenate([QUESTIONS[q] for q in rows]))) for rows in batches]))


@pytest.mark.parametrize("size", [2, 4, 8, 100])
def test_an_epoch_has_every_question_once(size: int) -> None:
    groups = QuestionGroups(QUESTIONS, size)
    for epoch in range(3):
        assert sorted(groups.order(0, epoch)) == list(range(len(QUESTIONS)))


def test_orders_are_functions_of_seed_and_epoch() -> None:
    orders = [QuestionGroups(QUESTIONS, 4).order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert orders == [QuestionGroups(QUESTIONS, 4).order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]


def test_groups_are_of_one_topic_and_need_fewer_passages() -> None:
    order = QuestionGroups(QUESTIONS, 8).order(0, 0)
    assert all(len({q // 8 for q in order[start : start + 8]}) == 1 for start in range(0, len(order), 8))
    assert distinct(order, 8) == 7  # all that a topic has
    assert distinct(np.random.default_rng(0).permutation(len(QUESTIONS)).tolist(), 8) > 20


def test_the_most_alike_come_first() -> None:
    """Question 0 shares three passages with 2, two with 1, one with 3 and none with 4, a question without passages."""
    shared = [[1, 2, 3, 4], [1, 2, 7, 8], [1, 2, 3, 9], [4, 11, 12, 13], []]
    groups = QuestionGroups([np.array(numbers, np.int64) for numbers in shared], 3)
    place, waiting = np.arange(5), np.ones(5, bool)
    assert groups._group(0, waiting, place) == [0, 2, 1]
    waiting[2] = False
    assert groups._group(0, waiting, place) == [0, 1, 3]
    assert groups._group(4, waiting, place) == [4]


def test_questions_without_passages_are_drawn_too() -> None:
    assert sorted(QuestionGroups([np.array([], np.int64)] * 3, 2).order(0, 0)) == [0, 1, 2]
