"""Work that a background thread does while its results are consumed.

For tokenization beside a model's computation: fast tokenizers release Python's interpreter lock, and so does torch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(items: Iterable[T], work: Callable[[T], R], depth: int) -> Iterator[R]:
    """`work` of every item, in order, done by one thread up to `depth` items ahead of the consumer.

    Items are drawn by the consumer's own thread, so that the program can end while standard input is open. An error of
    `items` or `work` is raised in its place, after the results before it.
    """
    thread = ThreadPoolExecutor(1)
    waiting: deque[Future[R]] = deque()
    try:
        for future in _submitted(thread, items, work):
            waiting.append(future)
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)


def _submitted(thread: ThreadPoolExecutor, items: Iterable[T], work: Callable[[T], R]) -> Iterator[Future[R]]:
    try:
        for item in items:
            yield thread.submit(work, item)
    except Exception as error:
        failed: Future[R] = Future()
        failed.set_exception(error)
        yield failed
