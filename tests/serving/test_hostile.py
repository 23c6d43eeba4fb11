"""Requests that are wrong, huge, slow or from somewhere else: each gets a status of 4xx, and nothing else suffers."""

from __future__ import annotations

import gzip
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import orjson
import pytest

from fidtools.data.records import Question
from fidtools.serving.guard import allowed_hosts
from fidtools.serving.limits import Limits
from fidtools.serving.routes import Policy
from fidtools.serving.worker import Worker
from tests.serving.conftest import JSON, Served

BAD_BODIES = {
    "nothing": (b"", 400, "malformed JSON"),
    "half": (b'{"queries": ["a"', 400, "malformed JSON"),
    "not utf-8": (b'{"queries": ["\xff"]}', 400, "malformed JSON"),
    "half a surrogate": (b'{"queries": ["\\ud800"]}', 400, "malformed JSON"),
    "deep": (b'{"queries": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "malformed JSON"),
    "NaN": (b'{"queries": ["a"], "topk": NaN}', 400, "malformed JSON"),
    "a list": (b'["a"]', 422, "must be a JSON object"),
    "no queries": (b"{}", 422, "must be a non-empty list of strings (missing)"),
    "a string": (b'{"queries": "a"}', 422, 'must be a non-empty list of strings (got "a")'),
    "no query": (b'{"queries": []}', 422, "must be a non-empty list of strings"),
    "a number": (b'{"queries": ["a", 1]}', 422, "must be a string (got 1)"),
    "null": (b'{"queries": [null]}', 422, "must be a string (missing)"),
    "a list inside": (b'{"queries": [["a"]]}', 422, "must be a string"),
    "topk 10^9": (b'{"queries": ["a"], "topk": 1000000000}', 422, "at most 100 passages per question"),
    "topk 10^30": (b'{"queries": ["a"], "topk": 1' + b"0" * 30 + b"}", 422, "must be a positive integer"),
    "topk -1": (b'{"queries": ["a"], "topk": -1}', 422, "must be a positive integer (got -1)"),
    "topk 1.5": (b'{"queries": ["a"], "topk": 1.5}', 422, "must be a positive integer"),
    "topk true": (b'{"queries": ["a"], "topk": true}', 422, "must be a positive integer"),
    'topk "3"': (b'{"queries": ["a"], "topk": "3"}', 422, 'must be a positive integer (got "3")'),
    "topk false": (b'{"queries": ["a"], "topk": false}', 422, "must be a positive integer (got false)"),
    "topk a list": (b'{"queries": ["a"], "topk": []}', 422, "must be a positive integer"),
    "topk a deep list": (
        b'{"topk": ' + b"[" * 1000 + b"]" * 1000 + b', "queries": ["a"]}',
        422,
        "must be a positive integer (got a deeply nested list)",
    ),
    "return_scores 1": (b'{"queries": ["a"], "return_scores": 1}', 422, "must be true or false (got 1)"),
    "long": (orjson.dumps({"queries": ["a" * 4097]}), 413, "at most 4096 characters per question"),
    "many": (orjson.dumps({"queries": ["a"] * 1025}), 413, "at most 1024 questions per request"),
    "much": (orjson.dumps({"queries": ["a"] * 101, "topk": 100}), 413, "exceed 10000 passages per request"),
    "huge": (b'{"queries": ["' + b"a" * (1 << 21) + b'"]}', 413, "at most 1048576 bytes"),
}


def is_well(served, world) -> bool:
    """Whether an ordinary question still gets its answer."""
    answer = served.post("/retrieve", queries=[world.questions[0]], topk=5, return_scores=True)
    return answer.status == 200 and len(answer.json["result"][0]) == 5


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body(name, served, world):
    body, status, message = BAD_BODIES[name]
    answer = served.send("POST", "/retrieve", body)
    assert (answer.status, message in answer.json["error"]) == (status, True), answer.body[:200]
    assert answer.headers["content-type"] == "application/json"
    assert is_well(served, world)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/search", {"question": " "}, "question"),
        ("/search", {"question": 1}, "question"),
        ("/search", {"question": "a", "read": "yes"}, "read"),
        ("/search", {"question": "a", "k": 3}, "k"),
        ("/retrieve", {"queries": ["a"], "return_score": True}, "return_score"),
        ("/read", {"queries": ["a", " "]}, "queries[1]"),
        ("/read", {"queries": ["a"] * 11, "topk": 100}, "queries"),
    ],
)
def test_a_bad_field_of_the_other_paths(path, body, field, served):
    answer = served.post(path, **body)
    assert answer.status in (413, 422)
    assert answer.json["field"] == field


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/retrieve", 405),
        ("POST", "/", 405),
        ("GET", "/nothing", 404),
        ("GET", "/site/../routes.py", 404),
        ("GET", "/site/%2e%2e/routes.py", 404),
        ("GET", "/site/", 404),
        ("DELETE", "/health", 405),
    ],
)
def test_a_wrong_path_or_method(method, path, status, served):
    assert served.send(method, path).status == status


def test_a_form_of_another_site_cannot_ask(served):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = served.send("POST", "/retrieve", b'{"queries": ["a"]}', {"Content-Type": kind})
        assert answer.status == 415
    assert "access-control-allow-origin" not in served.send("OPTIONS", "/retrieve", None, {"Origin": "x"}).headers


def test_a_compressed_body(served):
    body = gzip.compress(b'{"queries": ["a"]}')
    answer = served.send("POST", "/retrieve", body, JSON | {"Content-Encoding": "gzip"})
    assert answer.status == 415
    message = "compressed bodies are not read: send it without 'Content-Encoding: gzip'"
    assert answer.json == {"error": message}
    plain = served.send("POST", "/retrieve", b'{"queries": ["a"]}', JSON | {"Content-Encoding": "identity"})
    assert plain.status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.", "[::2]", ""]
)
def test_a_name_that_was_made_to_point_here(host, served):
    assert served.send("GET", "/", None, {"Host": host}).status == 421
    assert served.send("POST", "/retrieve", {"queries": ["a"]}, JSON | {"Host": host}).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000"])
def test_names_of_this_machine(host, served):
    assert served.send("GET", "/health", None, {"Host": host}).status == 200


def talk(served, *pieces: bytes, wait: float = 0.0) -> bytes:
    """Send bytes as they are, piece by piece, and receive until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(wait)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


HEAD = b"POST /retrieve HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b""], 408),  # nothing
        ([b"POST /retr"], 408),
        ([HEAD], 408),
        ([HEAD + b"Content-Length: 100\r\n\r\n", b'{"queries":'], 408),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\n{}\r\n"], 408),
        ([HEAD + b"Content-Length: 1000000000000\r\n\r\n"], 413),
        ([HEAD + b"Content-Length: x\r\n\r\n"], 400),
        ([HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"], 400),
        ([b"GET / HTTP/1.1\r\n\r\n"], 400),  # no Host
        ([b"nonsense\r\n\r\n"], 400),
        ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"], 400),  # TLS
    ],
)
def test_bytes_that_are_slow_or_no_request(pieces, status, served, world):
    assert talk(served, *pieces).startswith(b"HTTP/1.1 %d " % status)
    assert is_well(served, world)


def cut_off(served, *pieces: bytes, wait: float = 0.0) -> bytes:
    """What is received, or nothing if the server closes the connection while pieces are still being sent."""
    try:
        return talk(served, *pieces, wait=wait)
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    ("pieces", "wait", "status"),
    [
        ([bytes([byte]) for byte in b"GET /health HTTP/1.1\r\n"], 0.1, 408),
        ([b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000], 0, 400),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"10000\r\n" + b"a" * 0x10000 + b"\r\n"] * 2000], 0, 413),
    ],
    ids=["a trickle", "a head without end", "a body without end"],
)
def test_what_never_ends_is_cut_off(pieces, wait, status, served, world):
    received = cut_off(served, *pieces, wait=wait)
    assert received == b"" or received.startswith(b"HTTP/1.1 %d " % status)
    assert is_well(served, world)


def test_clients_that_hang_up_take_nothing_with_them(served, world):
    body = orjson.dumps({"queries": world.questions, "topk": 20})
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    for cut in (10, len(HEAD), len(whole) - 5, len(whole)):
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", served.port)) as connection:
                connection.sendall(whole[:cut])
    assert is_well(served, world)
    assert served.worker.submit(world.questions, 5).future.result(20)


class Gate:
    """A searcher that waits until it is opened."""

    name, corpus = "gate", ()

    def __init__(self) -> None:
        self.opened, self.entered = Event(), Event()

    def depth(self, k: int) -> int:
        return 10_000  # every request alone

    def rank(self, lookups):
        self.entered.set()
        assert self.opened.wait(20)
        if lookups[0].queries == ["fail"]:
            raise ValueError("secret details")
        return [[Question(str(n), query, ctxs=[]) for n, query in enumerate(lookup.queries)] for lookup in lookups]


def test_more_requests_than_may_wait_are_refused_and_the_others_answered():
    gate, limits = Gate(), Limits(pending=3)
    policy = Policy(limits, allowed_hosts("127.0.0.1", ()))
    with Served(Worker(gate, None, limits), policy) as served, ThreadPoolExecutor(3) as clients:
        waiting = [clients.submit(served.post, "/retrieve", queries=["a"]) for _ in range(3)]
        while served.worker._pending < 3:
            time.sleep(0.01)
        refused = served.post("/retrieve", queries=["a"])
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        gate.opened.set()
        assert [done.result().json for done in waiting] == [{"result": [[]]}] * 3
        assert served.post("/retrieve", queries=["a"]).status == 200


def test_a_request_of_a_client_that_left_is_not_worked_on():
    gate, limits = Gate(), Limits()
    with Served(Worker(gate, None, limits), Policy(limits)) as served:
        first = served.worker.submit(["first"], 1)
        assert gate.entered.wait(20)
        body = b'{"queries": ["second"]}'
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            while served.worker._pending < 2:
                time.sleep(0.01)
        while served.worker._pending > 1:  # taken back, while the first still waits
            time.sleep(0.01)
        gate.opened.set()
        assert len(first.future.result(20)) == 1


def test_a_failure_is_logged_and_not_sent(caplog):
    gate = Gate()
    gate.opened.set()
    with Served(Worker(gate, None, Limits()), Policy()) as served:
        answer = served.post("/retrieve", queries=["fail"])
        assert (answer.status, answer.json) == (500, {"error": "the server failed; its log says why"})
        assert "secret details" in caplog.text
        assert served.post("/retrieve", queries=["a"]).status == 200


def test_a_token(world):
    gate = Gate()
    gate.opened.set()
    with Served(Worker(gate, None, Limits()), Policy(token="s3cret ü")) as served:
        asked = {"queries": ["a"]}
        for wrong in (None, "Bearer", "Bearer s3cret", "Basic s3cret ü", "s3cret ü", "Bearer s3cret ü2"):
            headers = JSON if wrong is None else JSON | {"Authorization": wrong.encode().decode("latin-1")}
            answer = served.send("POST", "/retrieve", asked, headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        right = JSON | {"Authorization": "Bearer s3cret ü".encode().decode("latin-1")}
        assert served.send("POST", "/retrieve", asked, right).status == 200
        assert served.send("GET", "/health", None, {}).json == {"status": "ok", "token": True}
        assert served.send("GET", "/health", None, right).json["search"] == "gate"
        assert {served.send("GET", path, None, {}).status for path in ("/", "/docs", "/site/search.js")} == {200}


def test_every_answer_has_the_headers_that_keep_a_browser_safe(served):
    for path in ("/", "/docs", "/health", "/nothing", "/retrieve", "/site/search.js"):
        headers = served.send("GET", path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
    assert "content-security-policy" in served.send("GET", "/", None, {"Host": "evil"}).headers


def test_what_was_received_is_answered_before_the_end():
    gate = Gate()
    served = Served(Worker(gate, None, Limits()), Policy())
    with served, ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(served.post, "/retrieve", queries=["a"])
        assert gate.entered.wait(20)
        served.end()
        time.sleep(0.5)  # for the server to see it
        gate.opened.set()
        assert waiting.result().json == {"result": [[]]}
