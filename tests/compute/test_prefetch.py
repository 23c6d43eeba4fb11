"""Work done ahead by a thread: the same results in the same order, errors in their place, no hanging."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from fidtools.compute.prefetch import prefetch


def test_work_is_done_in_order_by_one_other_thread() -> None:
    found = list(prefetch(range(20), lambda i: (i, threading.get_ident()), depth=3))
    assert [i for i, _ in found] == list(range(20))
    (worker,) = {thread for _, thread in found}
    assert worker != threading.get_ident()


def test_the_next_item_is_worked_on_while_one_is_held() -> None:
    begun = [threading.Event() for _ in range(3)]
    for i in prefetch(range(3), lambda i: begun[i].set() or i, depth=1):
        assert all(event.wait(10) for event in begun[: i + 2])


@pytest.mark.parametrize("depth", [1, 4])
def test_no_more_is_drawn_than_the_depth(depth: int) -> None:
    drawn = []
    numbers = prefetch((drawn.append(i) or i for i in range(10)), lambda i: i, depth)
    for i in numbers:
        assert len(drawn) == min(i + 1 + depth, 10)


def test_an_error_of_the_work_comes_in_its_place() -> None:
    results = prefetch([4, 2, 0, 1], lambda i: 4 // i, depth=2)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_error_of_the_items_comes_behind_the_results_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("bad line")

    results = prefetch(items(), lambda i: -i, depth=5)
    assert [next(results), next(results)] == [-1, -2]
    with pytest.raises(ValueError, match="bad line"):
        next(results)


def test_an_interruption_is_not_put_off() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(prefetch(items(), lambda i: i, depth=5))


def test_the_thread_ends_with_the_iterator() -> None:
    before = threading.active_count()
    results = prefetch(range(100), lambda i: i, depth=2)
    next(results)
    assert threading.active_count() == before + 1
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
