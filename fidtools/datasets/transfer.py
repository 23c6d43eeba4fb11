"""One file over HTTP: resumed after a dropped connection, retried with exponential backoff, checked, then renamed."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fidtools
from fidtools.data.files import sync
from fidtools.data.hashes import file_sha256
from fidtools.datasets.urls import Download
from fidtools.errors import FidtoolsError
from fidtools.logs import log

BLOCK = 1 << 18
SCHEMES = ("http", "https")  # an address from a table must not name a file of this machine (file:) or be data itself
CODINGS = {"gzip", "x-gzip", "deflate", "br", "zstd"}
RETRIED_STATUSES = {408, 425, 429, 500, 502, 503, 504}
Progress = Callable[[int], None]


@dataclass(frozen=True)
class RetryPolicy:
    """When a transfer gives up: after `attempts` in a row without new bytes.

    The pauses between them are `wait`, 2 · `wait`, … seconds, at most `longest`; a connection has `timeout` seconds.
    """

    attempts: int = 6
    wait: float = 1.0
    longest: float = 60.0
    timeout: float = 30.0

    def pause(self, failures: int) -> float:
        """Seconds before the next attempt, after so many failures in a row."""
        return min(self.wait * 2.0 ** (failures - 1), self.longest)


class TransferError(FidtoolsError):
    """A file is unavailable: `reason` is why. `is_other_file`: the server has a file with another size or hash."""

    def __init__(self, reason: str, is_other_file: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.is_other_file = reason, is_other_file


class _TemporaryError(Exception):
    """A failure that may be gone at the next attempt, not before `after` seconds."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class Transfer:
    """Downloads `source` to `folder / source.name`.

    Received bytes are kept in a hidden file beside it, with the server's ETag, so that a killed run is resumed.
    `progress` is called with the number of bytes received; `stop` ends the transfer from another thread.
    """

    def __init__(
        self, source: Download, folder: Path, retries: RetryPolicy, progress: Progress, stop: threading.Event
    ) -> None:
        self.source, self.retries, self.progress, self.stop = source, retries, progress, stop
        self.target = folder / source.name
        self.partial = folder / f".{source.name}.partial"
        self.tag = folder / f".{source.name}.etag"
        self.resumed = False

    def run(self) -> str:
        """Download the file and return its SHA-256. Raises TransferError when it is unavailable or not as expected."""
        failures = 0
        while True:
            before = size_of(self.partial)
            try:
                self._attempt()
                return self._checked()
            except _TemporaryError as problem:
                failures = 1 if size_of(self.partial) > before else failures + 1
                if failures >= self.retries.attempts:
                    raise TransferError(f"{problem} ({failures} attempts)") from problem
                self._rest(max(self.retries.pause(failures), min(problem.after, self.retries.longest)), problem)

    def _rest(self, seconds: float, problem: _TemporaryError) -> None:
        log.info("%s: %s; trying again in %.0f s", self.source.name, problem, seconds)
        if self.stop.wait(seconds):
            raise TransferError("interrupted")

    def _attempt(self) -> None:
        start = self._resume_from()
        try:
            opener = _web_opener()
            with opener.open(self._request(start), timeout=self.retries.timeout) as response:
                self._receive(response, start)
        except urllib.error.HTTPError as error:
            self._refused(error, start)
        except urllib.error.URLError as error:
            raise _TemporaryError(f"no connection: {error.reason}") from error
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise _TemporaryError(f"connection lost: {str(error) or type(error).__name__}") from error
        except ValueError as error:  # such as an address with letters that are not ASCII
            raise TransferError(f"not an address: {error}") from error

    def _resume_from(self) -> int:
        """The number of received bytes to keep: none unless they are certain to be of the same file."""
        known = self.source.sha256 is not None or self.tag.exists()
        start = size_of(self.partial) if known else 0
        self.resumed = self.resumed or start > 0
        return start

    def _request(self, start: int) -> urllib.request.Request:
        if urllib.parse.urlsplit(self.source.url).scheme.lower() not in SCHEMES:
            raise TransferError(f"not an address of the web ({' or '.join(SCHEMES)})")
        headers = {"User-Agent": f"fidtools/{fidtools.__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if self.tag.exists():
                headers["If-Range"] = self.tag.read_text(encoding="latin-1")
        return urllib.request.Request(self.source.url, headers=headers)

    def _receive(self, response: Any, start: int) -> None:
        """Append the body. A server that answers 200 to a range request sends the complete file: start over."""
        if response.status != 206 or _content_range(response, r"bytes (\d+)-") != start:
            if response.status == 206:
                raise TransferError("the server sent another range than requested")
            start = 0
        coding = response.headers.get("Content-Encoding", "").strip().lower()
        if coding in CODINGS and not self.source.name.endswith((".gz", ".tgz")):  # of these, some say what they are
            raise TransferError(f"the server sends it compressed, which was not asked for (Content-Encoding: {coding})")
        total = _total(response, start)
        self._check_size(total)
        if not start:
            self._discard()  # at no moment may the bytes of an earlier file stand beside the new one's tag
        self._keep_tag(response)
        with open(self.partial, "ab" if start else "wb") as out:
            while block := response.read1(BLOCK):
                out.write(block)
                self.progress(out.tell())
                self._check_growth(out.tell())
                if self.stop.is_set():
                    raise TransferError("interrupted")
        if total is not None and size_of(self.partial) < total:
            raise _TemporaryError(f"connection lost after {size_of(self.partial):,} of {total:,} bytes")

    def _check_size(self, total: int | None) -> None:
        if total is not None and self.source.size is not None and total != self.source.size:
            raise TransferError(f"the server has {total:,} bytes, expected {self.source.size:,}", True)
        if total is not None and total > self.source.limit:
            raise TransferError(f"the server has {total:,} bytes, more than {self.source.limit:,}", True)

    def _check_growth(self, received: int) -> None:
        """Stop a body that goes on beyond the expected size, or without one beyond the limit."""
        if received > (self.source.size or self.source.limit):
            self._discard()
            bound = f"the expected {self.source.size:,}" if self.source.size else f"{self.source.limit:,}"
            raise TransferError(f"the server sends more than {bound} bytes", True)

    def _keep_tag(self, response: Any) -> None:
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if tag and not tag.startswith("W/"):
            self.tag.write_text(tag, encoding="latin-1")
        else:
            self.tag.unlink(missing_ok=True)

    def _refused(self, error: urllib.error.HTTPError, start: int) -> None:
        """Handle an error status. 416 to a range means that nothing is missing, or that the file has changed."""
        if error.code == 416 and start:
            if _content_range(error, r"bytes \*/(\d+)$") != start:
                self._discard()
                raise _TemporaryError("the file has changed on the server") from error
        elif error.code in RETRIED_STATUSES:
            raise _TemporaryError(f"HTTP status {error.code} {error.reason}", after=_retry_after(error)) from error
        else:
            raise TransferError(f"HTTP status {error.code} {error.reason}") from error

    def _checked(self) -> str:
        """Check the received file, rename it and return its hash. A resumed file with a wrong hash is fetched again."""
        size, sha256 = size_of(self.partial), file_sha256(self.partial)
        if not size and self.source.sha256 is None:
            self._discard()
            raise TransferError("the server sent an empty file")
        if self.source.sha256 in (None, sha256) and self.source.size in (None, size):
            sync(self.partial)
            os.replace(self.partial, self.target)
            self.tag.unlink(missing_ok=True)
            return sha256
        self._discard()
        if self.resumed:
            self.resumed = False
            raise _TemporaryError("checksum mismatch after resuming; downloading again from the start")
        raise TransferError(f"not the expected file: {size:,} bytes with SHA-256 {sha256}", True)

    def _discard(self) -> None:
        self.partial.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


def _web_opener() -> urllib.request.OpenerDirector:
    """An opener for SCHEMES alone, also after redirects. It takes the proxies from the environment as it is now."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def size_of(path: Path) -> int:
    """The bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _content_range(answer: Any, pattern: str) -> int | None:
    """The number in the Content-Range of a response or an error; None where it has another form."""
    found = re.match(pattern, answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _total(response: Any, start: int) -> int | None:
    """The size of the complete file, if the server sends it."""
    length = response.headers.get("Content-Length")
    return start + int(length) if length is not None and length.isdigit() else None


def _retry_after(error: urllib.error.HTTPError) -> float:
    """Seconds of the Retry-After header; a date is ignored."""
    with contextlib.suppress(ValueError):
        return float(error.headers.get("Retry-After", "0"))
    return 0.0
