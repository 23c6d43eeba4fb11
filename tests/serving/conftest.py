"""A small corpus with everything that `fidtools serve` and `fidtools search` need, and a server in this process."""

from __future__ import annotations

import http.client
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from fidtools import cli
from fidtools.data.jsonl import write_lines
from fidtools.datasets import toy
from fidtools.serving.guard import allowed_hosts
from fidtools.serving.limits import Limits
from fidtools.serving.opening import Sources, open_reader, open_searcher
from fidtools.serving.routes import Policy
from fidtools.serving.server import listen_on, make_server
from fidtools.serving.worker import Worker
from fidtools.sparse.engine import BM25Settings
from tests.toy_models import READER, RETRIEVER

HOSTILE = '<script>document.title = "hacked"</script><img src=x onerror="document.title=1">'
ESCAPES = "\x1b[2J\x1b]0;owned\x07 \x9b31m \u202egnorw"
JSON = {"Content-Type": "application/json"}
TEST_LIMITS = Limits(receive_seconds=1.0)


@dataclass(frozen=True)
class World:
    """Files in a folder."""

    folder: Path
    questions: list[str]

    @property
    def passages(self) -> str:
        return str(self.folder / "passages.jsonl")

    @property
    def dense(self) -> list[str]:
        return ["--retriever", RETRIEVER, "--embeddings", str(self.folder / "p.npy"), "-p", self.passages]

    @property
    def indexed(self) -> list[str]:
        return ["--retriever", RETRIEVER, "--index", str(self.folder / "faiss"), "-p", self.passages]

    def sources(self, *, bm25: bool = False, embeddings: bool = False, index: bool = False) -> Sources:
        """Sources as the command makes them."""
        return Sources(
            passages=self.passages,
            bm25=BM25Settings() if bm25 else None,
            bm25_folder=None,
            retriever=RETRIEVER if embeddings or index else None,
            embeddings=self.folder / "p.npy" if embeddings else None,
            index=self.folder / "faiss" if index else None,
            index_parameters=None,
            pooling=None,
            max_memory=1.0,
            force=False,
            precision="float32",
        )

    def run(self, *arguments: str) -> list[dict[str, Any]]:
        """The lines that a command writes."""
        output = self.folder / f"out-{arguments[0]}.jsonl"
        assert cli.run([*arguments, "-o", str(output), "-q"]) == 0
        return [orjson.loads(line) for line in output.read_bytes().splitlines()]


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("serving")
    toy.write(folder, seed=5)
    passages = [orjson.loads(line) for line in (folder / "passages.jsonl").read_bytes().splitlines()[-300:]]
    passages += [
        {"id": "hostile", "title": f"Zebra {HOSTILE}", "text": f"The zebra {HOSTILE} مرحبا 🙂 ate hay."},
        {"id": "escapes", "title": f"Quagga {ESCAPES}", "text": f"The quagga {ESCAPES} ate hay.\nAnd slept."},
    ]
    write_lines(folder / "passages.jsonl", passages)
    questions = [orjson.loads(line)["question"] for line in (folder / "test.jsonl").read_bytes().splitlines()[-24:]]
    write_lines(folder / "questions.jsonl", [{"question": question} for question in questions])
    made = World(folder, questions)
    assert cli.run(["embed", made.passages, "--retriever", RETRIEVER, "-o", str(folder / "p.npy"), "-q"]) == 0
    return made


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Served:
    """A server in a thread of this process."""

    worker: Worker
    policy: Policy = field(default_factory=lambda: Policy(TEST_LIMITS, allowed_hosts("127.0.0.1", ())))

    def __enter__(self) -> Served:
        listener = listen_on("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        self._server = make_server(self.worker, self.policy)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        return self

    def end(self) -> None:
        """What a signal does."""
        self._server.handle_exit(signal.SIGTERM, None)

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.worker.stop(20)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """Send a request in its own connection; bytes go as they are, everything else as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            data = body if isinstance(body, bytes | None) else orjson.dumps(body)
            connection.request(method, path, data, JSON if headers is None else headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, path: str, **body: Any) -> Answer:
        return self.send("POST", path, body)


@pytest.fixture(scope="session")
def served(world) -> Iterator[Served]:
    """BM25 and the retriever fused, with a reader."""
    searcher = open_searcher(world.sources(bm25=True, embeddings=True))
    with Served(Worker(searcher, open_reader(READER, "float32", 16384, None), TEST_LIMITS)) as running:
        yield running
