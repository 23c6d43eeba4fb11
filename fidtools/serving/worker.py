"""One thread that owns the models and answers the requests of all clients in batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING

from fidtools.data.records import Question
from fidtools.errors import FidtoolsError
from fidtools.serving.limits import Limits
from fidtools.serving.readings import Reading
from fidtools.serving.searchers import Lookup, Searcher

if TYPE_CHECKING:
    from fidtools.serving.question_reader import QuestionReader


class BusyError(FidtoolsError):
    """More requests are waiting than the server accepts."""


@dataclass(frozen=True)
class Found:
    """A question with its passages, and its answer if it was read."""

    question: Question
    reading: Reading | None = None


@dataclass(eq=False)
class Request:
    """A request in the worker's queue. A cancelled `future` stops the work on it at the next opportunity."""

    lookup: Lookup
    read: bool
    future: Future[list[Found]] = field(default_factory=Future)
    abandoned: bool = False

    def abandon(self) -> None:
        """The client is gone: nobody needs the result."""
        self.abandoned = True
        self.future.cancel()


@dataclass(eq=False)
class _Read:
    """A request whose passages are found and are read, group by group."""

    request: Request
    questions: list[Question]
    rest: Iterator[list[Reading]]
    done: list[Reading] = field(default_factory=list)


class Worker:
    """Answers requests in the order of their arrival. Searches go before the next group that is read.

    Requests that arrive within the window are searched together, as long as they look up no more passages than the
    limit. An error fails the request that caused it, not those that it was searched with.
    """

    def __init__(self, searcher: Searcher, reader: QuestionReader | None, limits: Limits) -> None:
        self.searcher, self.reader, self._limits = searcher, reader, limits
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._held: Request | None = None  # did not fit into the last batch
        self._readings: deque[_Read] = deque()
        self._stopping = False
        self._pending, self._lock = 0, Lock()
        self._thread = Thread(target=self._run, name="fidtools-worker", daemon=True)
        self._thread.start()

    def submit(self, queries: Sequence[str], k: int, read: bool = False) -> Request:
        """Queue a request. Raises BusyError when too many are pending."""
        with self._lock:
            if self._pending >= self._limits.pending:
                raise BusyError(f"{self._pending} requests are waiting", hint="try again in a moment")
            self._pending += 1
        request = Request(Lookup(queries, k), read)
        request.future.add_done_callback(self._finished)
        self._queue.put(request)
        return request

    def _finished(self, _: object) -> None:
        with self._lock:
            self._pending -= 1

    def stop(self, seconds: float | None = None) -> None:
        """Answer what is queued, then end the thread; wait for it at most that long."""
        self._queue.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while not (self._stopping and self._held is None and not self._readings and self._queue.empty()):
            batch = [request for request in self._batch() if request.future.set_running_or_notify_cancel()]
            if batch:
                self._search(batch)
            if self._readings:
                self._read_group(self._readings[0])

    def _batch(self) -> list[Request]:
        """The requests to search next; none when there is only reading to do."""
        first, self._held = self._held or self._next(None if not self._readings else 0.0), None
        if first is None:
            return []
        batch, deadline = [first], time.monotonic() + self._limits.window_seconds
        while (request := self._next(max(0.0, deadline - time.monotonic()))) is not None:
            if not self._fits([*batch, request]):
                self._held = request
                break
            batch.append(request)
        return batch

    def _next(self, seconds: float | None) -> Request | None:
        """The next request; None when there is none in time, or the worker is to stop."""
        if self._stopping:
            seconds = 0.0
        try:
            request = self._queue.get(seconds != 0.0, seconds)
        except Empty:
            return None
        self._stopping = self._stopping or request is None
        return request

    def _fits(self, batch: Sequence[Request]) -> bool:
        questions = sum(len(request.lookup.queries) for request in batch)
        depth = self.searcher.depth(max(request.lookup.k for request in batch))
        return questions * depth <= self._limits.passages

    def _search(self, batch: list[Request]) -> None:
        try:
            ranked = self.searcher.rank([request.lookup for request in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            for request in batch:  # one by one, so that only the one at fault fails
                self._search([request])
            return
        for request, questions in zip(batch, ranked, strict=True):
            if request.read and self.reader is not None:
                self._readings.append(_Read(request, questions, self.reader.readings(questions)))
            else:
                request.future.set_result([Found(question) for question in questions])

    def _read_group(self, reading: _Read) -> None:
        """Read one group of a request; several requests take turns."""
        self._readings.popleft()
        future = reading.request.future
        try:
            group = [] if reading.request.abandoned else next(reading.rest, [])
        except Exception as error:
            future.set_exception(error)
            return
        reading.done += group
        if group and len(reading.done) < len(reading.questions):
            self._readings.append(reading)
            return
        found = zip(reading.questions, reading.done, strict=False)
        future.set_result([Found(question, answer) for question, answer in found])
