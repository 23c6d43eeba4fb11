"""A web server on this machine that can be told to misbehave."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Site:
    """Files by name, and what is to go wrong: per file, one behaviour for each coming request, then none."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    trouble: dict[str, list[str]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    coding: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, name: str) -> list[str | None]:
        """The Range header of every request for a file."""
        return [header for asked, header in self.requests if asked == name]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        name, asked = self.path.lstrip("/"), self.headers.get("Range")
        with self.site.lock:
            self.site.requests.append((name, asked))
            waiting = self.site.trouble.get(name, [])
            trouble = waiting.pop(0) if waiting else ""
        if name not in self.site.files or trouble.isdigit():
            self.fail(int(trouble or 404))
        elif trouble.startswith("to "):
            self.send_response(302)
            self.send_header("Location", trouble.removeprefix("to "))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send(self.site.files[name], asked, trouble)

    def fail(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if status == 503:
            self.send_header("Retry-After", "0")
        self.end_headers()

    def send(self, data: bytes, asked: str | None, trouble: str) -> None:
        tag = f'"{hash(data)}"'
        if self.headers.get("If-Range") not in (None, tag) or trouble == "no ranges":
            asked = None
        start = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1)) if asked else 0
        if asked and start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if self.site.coding:
            self.send_header("Content-Encoding", self.site.coding)
        if trouble != "no tag":
            self.send_header("ETag", tag)
        body = data[start:]
        if trouble == "no length":
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if trouble == "cut" else body)
        if trouble == "cut":
            self.wfile.flush()
            self.close_connection = True


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    """A running server with no files."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"site": site}))
    site.url = f"http://127.0.0.1:{server.server_port}"
    server.handle_error = lambda *arguments: None  # a client may leave before the last byte
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
