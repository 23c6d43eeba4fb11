"""One file over HTTP: resumed where it was cut, retried with growing pauses, and checked before it gets its name."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fidtools
from fidtools.datasets.urls import Source
from fidtools.errors import FidtoolsError
from fidtools.logs import log

BLOCK = 1 << 18
WORTH_RETRYING = {408, 425, 429, 500, 502, 503, 504}
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Patience:
    """How long a transfer is tried: `attempts` in a row that bring nothing new, with pauses of `wait`, twice that, …"""

    attempts: int = 6
    wait: float = 1.0
    longest: float = 60.0
    timeout: float = 30.0

    def pause(self, failures: int) -> float:
        """Seconds before the next attempt, after so many failures in a row."""
        return min(self.wait * 2.0 ** (failures - 1), self.longest)


class TransferError(FidtoolsError):
    """A file cannot be had. `reason` says why in a few words; `is_other_file`: there is one, but not the right one."""

    def __init__(self, reason: str, is_other_file: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.is_other_file = reason, is_other_file


class _TryAgain(Exception):
    """What went wrong may be gone at the next attempt."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class Transfer:
    """Brings `source` to `folder / source.name`.

    The bytes that have come lie in a hidden file beside it, with the server's ETag, so that a killed run goes on where
    it was. `progress` is told how many bytes are there; `stop` ends the transfer from another thread.
    """

    def __init__(
        self, source: Source, folder: Path, patience: Patience, progress: Progress, stop: threading.Event
    ) -> None:
        self.source, self.patience, self.progress, self.stop = source, patience, progress, stop
        self.target = folder / source.name
        self.partial = folder / f".{source.name}.partial"
        self.tag = folder / f".{source.name}.etag"
        self.resumed = False

    def run(self) -> str:
        """Fetch the file and return its SHA-256. Raises TransferError when it cannot be had or is another file."""
        failures = 0
        while True:
            before = _size(self.partial)
            try:
                self._attempt()
                return self._checked()
            except _TryAgain as problem:
                failures = 1 if _size(self.partial) > before else failures + 1
                if failures >= self.patience.attempts:
                    raise TransferError(f"{problem} ({failures} attempts)") from problem
                self._rest(max(self.patience.pause(failures), min(problem.after, self.patience.longest)), problem)

    def _rest(self, seconds: float, problem: _TryAgain) -> None:
        log.info("%s: %s; trying again in %.0f s", self.source.name, problem, seconds)
        if self.stop.wait(seconds):
            raise TransferError("interrupted")

    def _attempt(self) -> None:
        start = self._resume_from()
        try:
            opener = urllib.request.build_opener()  # takes the proxies from the environment as it is now
            with opener.open(self._request(start), timeout=self.patience.timeout) as response:
                self._receive(response, start)
        except urllib.error.HTTPError as error:
            self._refused(error, start)
        except urllib.error.URLError as error:
            raise _TryAgain(f"no connection: {error.reason}") from error
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise _TryAgain(f"the connection was cut: {str(error) or type(error).__name__}") from error

    def _resume_from(self) -> int:
        """The bytes that are there and worth keeping: only what can be known to be the same file's."""
        known = self.source.sha256 is not None or self.tag.exists()
        start = _size(self.partial) if known else 0
        self.resumed = self.resumed or start > 0
        return start

    def _request(self, start: int) -> urllib.request.Request:
        headers = {"User-Agent": f"fidtools/{fidtools.__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if self.tag.exists():
                headers["If-Range"] = self.tag.read_text(encoding="latin-1")
        return urllib.request.Request(self.source.url, headers=headers)

    def _receive(self, response: Any, start: int) -> None:
        """Append the body. A server that answers 200 to a range sends the whole file: begin again."""
        if response.status != 206 or _range_start(response) != start:
            if response.status == 206:
                raise TransferError("the server sent another range than was asked for")
            start = 0
        total = _total(response, start)
        self._check_size(total)
        self._keep_tag(response)
        with open(self.partial, "ab" if start else "wb") as out:
            while block := response.read1(BLOCK):
                out.write(block)
                self.progress(out.tell())
                if self.stop.is_set():
                    raise TransferError("interrupted")
        if total is not None and _size(self.partial) < total:
            raise _TryAgain(f"the connection was cut after {_size(self.partial):,} of {total:,} bytes")

    def _check_size(self, total: int | None) -> None:
        if total is not None and self.source.size is not None and total != self.source.size:
            raise TransferError(f"the server has {total:,} bytes, the file should have {self.source.size:,}", True)

    def _keep_tag(self, response: Any) -> None:
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if tag and not tag.startswith("W/"):
            self.tag.write_text(tag, encoding="latin-1")
        else:
            self.tag.unlink(missing_ok=True)

    def _refused(self, error: urllib.error.HTTPError, start: int) -> None:
        """Sort out an error status. 416 to a range means that nothing is missing, or that the file has changed."""
        if error.code == 416 and start:
            if _total_of_416(error) != start:
                self._discard()
                raise _TryAgain("the file has changed on the server") from error
        elif error.code in WORTH_RETRYING:
            raise _TryAgain(f"the server says {error.code} {error.reason}", after=_retry_after(error)) from error
        else:
            raise TransferError(f"the server says {error.code} {error.reason}") from error

    def _checked(self) -> str:
        """The hash of what came, once it has its name. A resumed file that is wrong is fetched once more, whole."""
        size, sha256 = _size(self.partial), file_sha256(self.partial)
        if self.source.sha256 in (None, sha256) and self.source.size in (None, size):
            os.replace(self.partial, self.target)
            self.tag.unlink(missing_ok=True)
            return sha256
        self._discard()
        if self.resumed:
            self.resumed = False
            raise _TryAgain("the pieces do not make the whole")
        raise TransferError(f"not the file it should be: {size:,} bytes with SHA-256 {sha256}", True)

    def _discard(self) -> None:
        self.partial.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _range_start(response: Any) -> int | None:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found.group(1)) if found else None


def _total(response: Any, start: int) -> int | None:
    """The size of the whole file, when the server says it."""
    length = response.headers.get("Content-Length")
    return start + int(length) if length is not None and length.isdigit() else None


def _total_of_416(error: urllib.error.HTTPError) -> int | None:
    found = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    return int(found.group(1)) if found else None


def _retry_after(error: urllib.error.HTTPError) -> float:
    """Seconds of the Retry-After header; a date counts as no wish."""
    with contextlib.suppress(ValueError):
        return float(error.headers.get("Retry-After", "0"))
    return 0.0
