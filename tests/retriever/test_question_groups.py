"""Groups of questions that share passages: every question once an epoch, alike ones together, fewer passages."""

from __future__ import annotations

import numpy as np
import pytest

from fidtools.retriever.question_groups import QuestionGroups, _Epoch

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
    """Question 0 shares three passages with 2, two with 1, one with 3, and none with 4, which has no passages."""
    shared = [[1, 2, 3, 4], [1, 2, 7, 8], [1, 2, 3, 9], [4, 11, 12, 13], []]
    passages = [np.array(numbers, np.int64) for numbers in shared]
    assert _Epoch(QuestionGroups(passages, 3), range(5)).group(0) == [0, 2, 1]
    epoch = _Epoch(QuestionGroups(passages, 3), range(5))
    epoch.waiting[2] = False
    assert epoch.group(0) == [0, 1, 3]
    assert epoch.group(4) == [4]


def test_a_short_group_grows_by_what_its_members_share() -> None:
    chain = [np.array([number, number + 1]) for number in range(6)]
    assert _Epoch(QuestionGroups(chain, 5), range(6)).group(2) == [2, 1, 3, 0, 4]


def test_what_full_groups_leave_is_cut_into_groups_too() -> None:
    """Twelve topics of ten questions: of each a full group of eight, and two that are left."""
    topics = [np.array([number // 10]) for number in range(124)]
    order = QuestionGroups(topics, 8).order(0, 0)
    assert sorted(order) == list(range(124))
    blocks = [order[start : start + 8] for start in range(0, 124, 8)]
    assert [len(block) for block in blocks] == [8] * 15 + [4]
    assert sum(len({question // 10 for question in block}) == 1 for block in blocks[:15]) == 12


def test_common_passages_do_not_make_an_epoch_slow() -> None:
    """A list that was looked at is kept without what was drawn: it is read from the start only once."""
    same = QuestionGroups([np.array([0, 1, 2 + number // 2]) for number in range(2000)], 2)
    read = []
    questions_of = same.questions_of
    same.questions_of = lambda passage: (read.append(passage), questions_of(passage))[1]  # type: ignore[method-assign]
    order = same.order(0, 0)
    assert sorted(order) == list(range(2000))
    assert max(read.count(passage) for passage in (0, 1)) == 1
    assert all(order[k] // 2 == order[k + 1] // 2 for k in range(0, 2000, 2))


def test_questions_without_passages_are_drawn_too() -> None:
    assert sorted(QuestionGroups([np.array([], np.int64)] * 3, 2).order(0, 0)) == [0, 1, 2]
