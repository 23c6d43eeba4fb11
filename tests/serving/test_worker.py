"""The one thread behind all clients: batches, turns, errors, and its end."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import pytest

from fidtools.data.records import Passage, Question
from fidtools.serving.limits import Limits
from fidtools.serving.readings import Reading
from fidtools.serving.worker import BusyError, Worker

LIMITS = Limits(window_seconds=0.2, passages=100)


class Recorder:
    """A searcher that notes its batches, and fails for a question named "bad". It waits until it is opened."""

    name, corpus = "recorder", ()

    def __init__(self) -> None:
        self.batches: list[list[list[str]]] = []
        self.opened = Event()

    def depth(self, k: int) -> int:
        return k

    def rank(self, lookups):
        assert self.opened.wait(20)
        self.batches.append([list(lookup.queries) for lookup in lookups])
        if any("bad" in lookup.queries for lookup in lookups):
            raise ValueError("bad")
        return [[Question(query, query, ctxs=[Passage("p", "t")]) for query in lookup.queries] for lookup in lookups]


class SlowReader:
    """A reader of one question at a time that notes their order."""

    n_context = None

    def __init__(self, order: list[str]) -> None:
        self.order = order

    def readings(self, questions):
        for question in questions:
            self.order.append(f"read {question.id}")
            yield [Reading(question.id, 0.0, None)]


def results(*requests):
    return [[found.question.id for found in request.future.result(20)] for request in requests]


def test_requests_that_arrive_together_are_searched_together():
    searcher = Recorder()
    worker = Worker(searcher, None, LIMITS)
    requests = [worker.submit(queries, 3) for queries in (["a", "b"], ["c"], ["d"])]
    searcher.opened.set()
    assert results(*requests) == [["a", "b"], ["c"], ["d"]]
    assert searcher.batches == [[["a", "b"], ["c"], ["d"]]]
    worker.stop(20)


def test_a_batch_has_no_more_passages_than_the_limit():
    searcher = Recorder()
    searcher.opened.set()
    worker = Worker(searcher, None, LIMITS)
    requests = [worker.submit(["a"], 50), worker.submit(["b"], 10), worker.submit(["c"], 10), worker.submit(["d"], 90)]
    assert results(*requests) == [["a"], ["b"], ["c"], ["d"]]
    assert searcher.batches == [[["a"], ["b"]], [["c"]], [["d"]]]
    worker.stop(20)


def test_an_error_fails_only_the_request_that_caused_it():
    searcher = Recorder()
    worker = Worker(searcher, None, LIMITS)
    good, bad, other = worker.submit(["a"], 1), worker.submit(["bad"], 1), worker.submit(["c"], 1)
    searcher.opened.set()
    assert results(good, other) == [["a"], ["c"]]
    with pytest.raises(ValueError):
        bad.future.result(20)
    assert results(worker.submit(["d"], 1)) == [["d"]]
    worker.stop(20)


def test_requests_that_are_read_take_turns():
    searcher, order = Recorder(), []
    worker = Worker(searcher, SlowReader(order), LIMITS)
    requests = [worker.submit(queries, 1, read=True) for queries in (["a", "b", "c"], ["x", "y"])]
    searcher.opened.set()
    assert results(*requests) == [["a", "b", "c"], ["x", "y"]]
    assert order == ["read a", "read x", "read b", "read y", "read c"]
    assert [found.reading.answer for found in requests[1].future.result()] == ["x", "y"]
    worker.stop(20)


def test_an_abandoned_request_is_not_read_to_its_end():
    searcher, order = Recorder(), []
    worker = Worker(searcher, SlowReader(order), LIMITS)
    request = worker.submit(["a", "b"], 1, read=True)
    request.abandoned = True
    searcher.opened.set()
    assert results(request, worker.submit(["c"], 1, read=True)) == [[], ["c"]]
    assert order == ["read c"]
    worker.stop(20)


def test_pending_requests_are_limited_and_counted_down():
    searcher = Recorder()
    worker = Worker(searcher, None, replace(LIMITS, pending=2))
    requests = [worker.submit(["a"], 1), worker.submit(["b"], 1)]
    with pytest.raises(BusyError):
        worker.submit(["c"], 1)
    searcher.opened.set()
    assert results(*requests) == [["a"], ["b"]]
    assert results(worker.submit(["c"], 1)) == [["c"]]
    worker.stop(20)


def test_the_end_answers_what_was_submitted():
    searcher = Recorder()
    searcher.opened.set()
    worker = Worker(searcher, SlowReader([]), LIMITS)
    requests = [worker.submit([str(number)], 60, read=number % 2 == 0) for number in range(6)]
    worker.stop(20)
    assert [request.future.done() for request in requests] == [True] * 6
    assert results(*requests) == [[str(number)] for number in range(6)]
