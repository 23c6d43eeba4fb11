"""`fidtools serve` as a process: start, refusals, warnings, and the end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util

import orjson
import pytest

from fidtools import cli
from fidtools.serving.guard import allowed_hosts, is_loopback
from fidtools.serving.limits import Limits
from fidtools.serving.openapi import describe
from fidtools.serving.server import warn_of_exposure
from tests.serving.conftest import RETRIEVER


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address."""
    command = [sys.executable, "-m", "fidtools", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | environment)
    try:
        said = ""
        while not (found := re.search(r"^serving .* at (http://\S+) ", said, re.MULTILINE)):
            line = process.stderr.readline()
            assert line, said
            said += line
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


def health(url: str) -> dict:
    with urllib.request.urlopen(f"{url}/health") as response:
        return orjson.loads(response.read())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number, world):
    with serving("--bm25", "-p", world.passages) as (process, url):
        assert health(url)["passages"] == 302
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert (process.returncode, said) == (0, "stopped\n")


def test_the_token_may_come_from_the_environment(world):
    with serving("--bm25", "-p", world.passages, FIDTOOLS_TOKEN="secret") as (_, url):
        assert health(url) == {"status": "ok", "token": True}


def refused(capsys, *arguments: str, code: int = 1) -> str:
    assert cli.run(["serve", *arguments, "-q"]) == code
    return capsys.readouterr().err


def test_embeddings_of_other_passages_or_another_retriever_are_refused(world, capsys, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "z", "title": "", "text": "t"}\n')
    embeddings = str(world.folder / "p.npy")
    message = refused(capsys, "--retriever", RETRIEVER, "--embeddings", embeddings, "-p", str(other), "--port", "0")
    assert "p.npy" in message
    assert "other.jsonl" in message
    arguments = ["--retriever", RETRIEVER, "--embeddings", embeddings, "-p", world.passages, "--pooling", "max"]
    assert "encoder" in refused(capsys, *arguments, "--port", "0")


def test_a_port_in_use_is_refused(world, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        message = refused(capsys, "--bm25", "-p", world.passages, "--port", port)
    assert message == (
        f"fidtools: cannot listen on 127.0.0.1 port {port}: address already in use\n  choose another --port\n"
    )


def test_an_unknown_host_and_an_empty_token(world, capsys):
    assert "no such host: nowhere.invalid" in refused(
        capsys, "--bm25", "-p", world.passages, "--host", "nowhere.invalid"
    )
    for name in ("\x88", "a" * 64, "a..b"):  # which no host can have
        said = refused(capsys, "--bm25", "-p", world.passages, "--host", name)
        assert said.startswith("fidtools: no such host: ")
    assert "the token is empty" in refused(capsys, "--bm25", "-p", world.passages, "--token", "", code=2)


def test_what_to_install(world, capsys, monkeypatch):
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *rest: None if name == "uvicorn" else find(name, *rest))
    assert refused(capsys, "--bm25", "-p", world.passages) == (
        "fidtools: `fidtools serve` needs an optional package\n"
        "  bin/setup serve (in the repository), or: pip install 'fidtools[serve]'\n"
    )


def test_a_warning_when_others_can_connect(caplog):
    for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        warn_of_exposure(host, None)
    assert caplog.text == ""
    warn_of_exposure("0.0.0.0", None)
    assert "--token" in caplog.text
    caplog.clear()
    warn_of_exposure("192.168.1.1", "secret")
    assert "without encryption" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("host", "names", "expected"),
    [
        ("127.0.0.1", [], {"localhost", "127.0.0.1", "[::1]"}),
        ("127.0.0.2", ["Search.example"], {"localhost", "127.0.0.1", "127.0.0.2", "[::1]", "search.example"}),
        ("0.0.0.0", [], None),
        ("0.0.0.0", ["search.example"], {"search.example"}),
    ],
)
def test_the_names_it_answers_to(host, names, expected):
    assert allowed_hosts(host, names) == expected
    assert is_loopback(host) == host.startswith("127.")


def test_the_description_names_every_path_and_limit(served):
    described = served.send("GET", "/openapi.json").json
    assert described == orjson.loads(orjson.dumps(describe(Limits(), 3, 10)))
    assert list(described["paths"]) == ["/retrieve", "/read", "/search", "/health"]
    topk = described["paths"]["/retrieve"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert topk["topk"] == {"type": ["integer", "null"], "minimum": 0, "maximum": 100, "default": 3}
    for path, methods in described["paths"].items():
        example = methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        if example:
            assert served.send("POST", path, example["example"]).status == 200
