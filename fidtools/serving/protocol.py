"""HTTP/1.1 by uvicorn and h11, with what uvicorn lacks: a deadline for a request's head, and half-closed clients."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

BODY = b'{"error": "no request arrived in time"}'
ANSWER = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
BEGINNING = b"HTTP/1.1 "
"""Of every answer."""
PROBE_SECONDS = 0.1


class _Begun:
    """A transport to which the beginning of an answer has been written: it is left out of what comes next."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._rest = len(BEGINNING)

    def write(self, data: bytes) -> None:
        """Write what follows the beginning."""
        self._transport.write(data[self._rest :])
        self._rest = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class DeadlineProtocol(H11Protocol):
    """A connection that is closed when it is silent, or when a request's head is not complete in time.

    A client that has closed only its sending side gets the answers to the requests that have arrived.
    """

    receive_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None
    _is_half_closed = False

    def connection_made(self, transport: Any) -> None:
        """The client has connected and has to send a request."""
        super().connection_made(transport)
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Some bytes have arrived: the deadline stays while they are an incomplete head."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._clear_deadline()
        elif self._deadline is None:
            self._set_deadline()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # uvicorn's always closes
        """The client sends no more: whether the connection stays, for the answer to a request that is complete.

        A client that is gone altogether looks the same, until something is sent to it: the beginning of the answer.
        """
        self._is_half_closed = True
        if self._is_answering() and not self.cycle.response_started and not isinstance(self.cycle.transport, _Begun):
            self.transport.write(BEGINNING)
            self.cycle.transport = _Begun(self.transport)  # type: ignore[assignment]
            self._probe()
        return self._is_answering()

    def on_response_complete(self) -> None:
        """The answer is sent. A client that sends no more is left when it has all its answers."""
        super().on_response_complete()
        if self._is_half_closed and not self._is_answering():
            self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _probe(self) -> None:
        """End the connection as soon as its other side has refused what was sent; nothing else would tell."""
        if self.transport.is_closing() or not self._is_answering():
            return
        if self.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
        else:
            self.loop.call_later(PROBE_SECONDS, self._probe)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._clear_deadline()
        super().connection_lost(exc)

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.receive_seconds, self._expire)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.write(ANSWER)
            self.transport.close()
