"""Clients that close their sending side behind a request, as `nc -N` and `socat` do, and still read."""

from __future__ import annotations

import socket
import time

import orjson
import pytest

from fidtools.serving.limits import Limits
from fidtools.serving.routes import Policy
from fidtools.serving.worker import Worker
from tests.serving.conftest import Served
from tests.serving.test_hostile import HEAD, Gate


def post(query: str) -> bytes:
    body = orjson.dumps({"queries": [query]})
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def received(connection: socket.socket) -> bytes:
    connection.settimeout(20)
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("requests", [[post("a")], [post("a"), post("b")], [post("a"), b"POST /retr"]])
def test_every_whole_request_of_a_half_closed_client_is_answered(requests):
    gate = Gate()
    with (
        Served(Worker(gate, None, Limits()), Policy(Limits())) as served,
        socket.create_connection(("127.0.0.1", served.port)) as connection,
    ):
        connection.sendall(b"".join(requests))
        connection.shutdown(socket.SHUT_WR)
        assert gate.entered.wait(20)
        time.sleep(0.3)  # for the server to see the end and to look for the client more than once
        gate.opened.set()
        answers = received(connection)
    whole = [request for request in requests if request.endswith(b"}")]
    assert answers.split(b"HTTP/1.1 ")[0] == b""
    assert [part.split(b"\r\n")[0] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200 OK"] * len(whole)
    assert answers.count(b'{"result":[[]]}') == len(whole)


def test_a_half_closed_client_gets_files_and_refusals(served):
    wrong = b"POST /retrieve HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"
    page = b"GET /site/search.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for request, status in ((wrong, b"415"), (page, b"200"), (b"GET /health HTTP/1.0\r\n\r\n", b"421")):
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = received(connection)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        assert f"content-length: {len(body)}".encode() in head


def test_a_client_that_closes_in_the_middle_of_a_body_is_left(served):
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(post("a")[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert received(connection) == b""
