"""Tokens made by a thread while the model computes: fast tokenizers work outside Python's lock, and so does torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from fidtools.compute.ranks import ranks
from fidtools.data.records import Question
from fidtools.reader.model import Reader
from fidtools.reader.prompt import Tokens

T = TypeVar("T")
R = TypeVar("R")


class Group(NamedTuple):
    """Questions that are read together, and their tokens."""

    questions: list[Question]
    tokens: Tokens


def with_tokens(reader: Reader, groups: Iterable[list[Question]]) -> Iterator[Group]:
    """Groups with their tokens, the next one's made while this one is read.

    Under `torchrun` each rank's share is every world-th group, as in `spread`; the others' come without tokens.
    """
    me = ranks()

    def tokenize(numbered: tuple[int, list[Question]]) -> Group:
        number, questions = numbered
        return Group(questions, reader.tokens(questions) if number % me.world == me.rank else [])

    return overlapped(enumerate(groups), tokenize, depth=me.world)


def overlapped(items: Iterable[T], work: Callable[[T], R], depth: int) -> Iterator[R]:
    """`work` of every item, in order, done by one thread up to `depth` items ahead of who consumes it.

    Items are drawn by the consumer's own thread, so that nothing waits for standard input when the program ends. What
    goes wrong with an item, in drawing it or in its work, is raised in its place, behind the results before it.
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
