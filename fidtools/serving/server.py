"""The server process: a socket, the event loop, and an orderly end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Iterator
from threading import current_thread, main_thread
from types import FrameType

import uvicorn

from fidtools.errors import FidtoolsError
from fidtools.logs import log
from fidtools.serving.guard import is_loopback
from fidtools.serving.limits import Limits
from fidtools.serving.protocol import DeadlineProtocol
from fidtools.serving.routes import Policy, make_app
from fidtools.serving.worker import Worker

END_SECONDS = 10
"""Time for requests to be answered after a signal to stop."""
KEEP_ALIVE_SECONDS = 15
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """uvicorn's server, for which SIGTERM and SIGINT mean an orderly end, and a second one an immediate end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals inside the block; uvicorn's own would send them again afterwards."""
        if current_thread() is not main_thread():
            yield  # only the main thread may
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has arrived."""
        self.force_exit = self.should_exit
        self.should_exit = True


def listen_on(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 chooses a free one. Raises FidtoolsError when the address cannot be used."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except (socket.gaierror, UnicodeError) as error:  # the latter for what no name can hold
        raise FidtoolsError(f"no such host: {host}", hint="--host 127.0.0.1 is this machine alone") from error
    except OSError as error:
        hint = "choose another --port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else None
        raise FidtoolsError(
            f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0).lower()}", hint=hint
        ) from error


def address_of(listener: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def warn_of_exposure(host: str, token: str | None) -> None:
    """Warn when others can connect."""
    if is_loopback(host):
        return
    if token is None:
        log.warning(
            "warning: everyone who reaches %s can ask questions and read the passages; give a --token",
            host,
        )
    else:
        log.warning("warning: the token and all texts are sent without encryption; use a proxy with TLS for %s", host)


def serve(listener: socket.socket, worker: Worker, policy: Policy) -> None:
    """Answer requests until SIGTERM or SIGINT. What was received by then is answered first."""
    server = make_server(worker, policy)
    log.info("serving %s at %s (Ctrl-C ends it)", worker.searcher.name, address_of(listener))
    server.run(sockets=[listener])
    worker.stop(0.0 if server.force_exit else END_SECONDS)
    log.info("stopped")


def make_server(worker: Worker, policy: Policy) -> Server:
    """A server that `run(sockets=[…])` starts and `should_exit` ends."""
    limits: Limits = policy.limits
    protocol = type("Protocol", (DeadlineProtocol,), {"receive_seconds": limits.receive_seconds})
    config = uvicorn.Config(
        make_app(worker, policy),
        http=protocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
    )
    return Server(config)
