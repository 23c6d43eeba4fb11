"""The application: JSON for programs, and the page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import fidtools
from fidtools.errors import FidtoolsError, shorten
from fidtools.logs import log
from fidtools.serving.bodies import RequestError, parse_object, parse_page_question, parse_queries
from fidtools.serving.guard import Guard
from fidtools.serving.limits import Limits
from fidtools.serving.openapi import describe
from fidtools.serving.presentation import answered, retrieved, shown
from fidtools.serving.worker import BusyError, Found, Worker

SITE = Path(__file__).parent / "site"
RETRIEVE_K = 3
"""Passages per question of `/retrieve`, as in Search-R1."""
PAGE_K = 10
DRAIN_FACTOR = 64
"""A body up to that many times the limit is received and thrown away, so that its sender sees the answer."""


@dataclass(frozen=True)
class Policy:
    """Who may ask, and how much."""

    limits: Limits = field(default_factory=Limits)
    hosts: Collection[str] | None = None
    token: str | None = None


def make_app(worker: Worker, policy: Policy) -> Guard:
    """The application that answers by this worker."""
    handlers = Handlers(worker, policy.limits)
    routes = [
        Route("/retrieve", handlers.retrieve, methods=["POST"]),
        Route("/read", handlers.read, methods=["POST"]),
        Route("/search", handlers.search, methods=["POST"]),
        Route("/health", handlers.health),
        Route("/openapi.json", handlers.openapi),
        Route("/", _page("index.html")),
        Route("/docs", _page("docs.html")),
        Mount("/site", StaticFiles(directory=SITE)),
    ]
    errors: dict[Any, Any] = {RequestError: _refused, HTTPException: _http_error, ClientDisconnect: _gone}
    return Guard(Starlette(routes=routes, exception_handlers=errors), policy.hosts, policy.token)


class Handlers:
    """What is done at each path."""

    def __init__(self, worker: Worker, limits: Limits) -> None:
        self._worker, self._limits, self._started = worker, limits, time.monotonic()

    async def retrieve(self, request: Request) -> Response:
        """Passages for questions, in Search-R1's form. A blank question gets none."""
        body = await _json_body(request, self._limits)
        asked = parse_queries(body, self._limits, RETRIEVE_K, self._limits.passages)
        found = iter(await self._answer(request, [query for query in asked.queries if query.strip()], asked.k))
        lists = [retrieved(next(found), asked.return_scores) if query.strip() else [] for query in asked.queries]
        return _json({"result": lists})

    async def read(self, request: Request) -> Response:
        """Answers to questions, with the passages that they were read from."""
        body = await _json_body(request, self._limits)
        default = (self._worker.reader and self._worker.reader.n_context) or PAGE_K
        asked = parse_queries(body, self._limits, default, self._limits.read_passages)
        if self._worker.reader is None:
            raise RequestError(404, "this server has no reader: start it with --reader")
        blank = next((number for number, query in enumerate(asked.queries) if not query.strip()), None)
        if blank is not None:
            raise RequestError(422, "must be a question", f"queries[{blank}]")
        return _json({"result": list(map(answered, await self._answer(request, asked.queries, asked.k, read=True)))})

    async def search(self, request: Request) -> Response:
        """What the page shows for one question."""
        asked = parse_page_question(await _json_body(request, self._limits), self._limits, PAGE_K)
        started = time.perf_counter()
        (found,) = await self._answer(
            request, [asked.question], asked.k, asked.read and self._worker.reader is not None
        )
        result = await run_in_threadpool(shown, found)  # it takes a while for long passages
        return _json(result | {"seconds": round(time.perf_counter() - started, 4)})

    async def health(self, request: Request) -> Response:
        """Whether the server works, and for those with the token, what it has."""
        if not request.scope["authorized"]:
            return _json({"status": "ok", "token": True})
        return _json(
            {
                "status": "ok",
                "version": fidtools.__version__,
                "search": self._worker.searcher.name,
                "passages": len(self._worker.searcher.corpus),
                "reader": self._worker.reader is not None,
                "max_topk": self._limits.k,
                "seconds": round(time.monotonic() - self._started),
            }
        )

    async def openapi(self, request: Request) -> Response:
        """The description of this interface."""
        return _json(describe(self._limits, *(min(k, self._limits.k) for k in (RETRIEVE_K, PAGE_K))))

    async def _answer(self, request: Request, queries: Sequence[str], k: int, read: bool = False) -> list[Found]:
        """The worker's answer. A client that goes away takes its request back."""
        if not queries:
            return []
        try:
            work = self._worker.submit(queries, k, read)
        except BusyError as error:
            raise RequestError(429, str(error.message)) from error
        result: asyncio.Future[Any] = asyncio.wrap_future(work.future)
        gone: asyncio.Future[Any] = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait([result, gone], return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                raise ClientDisconnect
            found: list[Found] = result.result()
            return found
        except (ClientDisconnect, asyncio.CancelledError):
            raise
        except Exception as error:
            log.error("%s failed: %s", request.url.path, error, exc_info=not isinstance(error, FidtoolsError))
            raise RequestError(500, "the server failed; its log says why") from error
        finally:
            gone.cancel()
            if not result.done():
                work.abandon()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _json_body(request: Request, limits: Limits) -> dict[str, Any]:
    """The JSON object of a request. Raises RequestError; the connection is then closed if the body was not received."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(limits.receive_seconds):
            body = await _receive(request, limits.body_bytes)
    except TimeoutError:
        raise RequestError(408, f"the body did not arrive within {limits.receive_seconds:g} seconds") from None
    if kind != "application/json":  # a form of another site can send other types without asking
        raise RequestError(415, "needs the header 'Content-Type: application/json'")
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise RequestError(
            415, f"compressed bodies are not read: send it without 'Content-Encoding: {shorten(coding)}'"
        )
    return parse_object(body)


async def _receive(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    size, chunks = 0, []
    if int(declared) <= limit * DRAIN_FACTOR:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit * DRAIN_FACTOR:
                break
            if size <= limit:
                chunks.append(chunk)
    if size > limit or int(declared) > limit:
        raise RequestError(413, f"at most {limit} bytes per request")
    return b"".join(chunks)


def _page(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return FileResponse(SITE / name)

    return page


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    headers = {"retry-after": "1"} if error.status == 429 else {}
    if error.status in (408, 413):  # the rest of the body may still be on its way
        headers["connection"] = "close"
    return _json(error.to_json(), error.status, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": str(error.detail).lower()}, error.status_code, dict(error.headers or {}))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # which nobody receives
