"""Parallel downloads into one folder, each file checked against the table or the record of its first download."""

from __future__ import annotations

import fcntl
import logging
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from fidtools.datasets.bars import MAX_LISTED, progress_bars
from fidtools.datasets.receipts import Receipts, human_size, size_and_hash
from fidtools.datasets.transfer import Progress, RetryPolicy, Transfer, TransferError, size_of
from fidtools.datasets.urls import Download
from fidtools.errors import FidtoolsError
from fidtools.logs import log

OPTIONAL_ATTEMPTS = 3


Failure = tuple[Download, TransferError]


class Downloads:
    """A folder of downloaded files, with a record of each in `downloads.json`.

    Files that were put there by hand are checked and used, too. `mirror` is a URL under which the files are found by
    their names, instead of their own addresses.
    """

    def __init__(
        self, folder: Path, *, mirror: str | None = None, jobs: int = 4, retries: RetryPolicy | None = None
    ) -> None:
        self.folder, self.mirror, self.jobs = folder, mirror, jobs
        self.retries = retries or RetryPolicy()
        self.receipts = Receipts.of(folder)
        self._level = logging.INFO

    def path(self, name: str) -> Path:
        """The path of the file of that name."""
        return self.folder / name

    def resolved(self, source: Download) -> Download:
        """The file as it will be fetched: from the mirror, and with the recorded hash if none is published."""
        if self.mirror is not None:
            source = replace(source, url=f"{self.mirror.rstrip('/')}/{quote(source.name)}")
        receipt = self.receipts.files.get(source.name)
        if source.sha256 is None and receipt is not None:
            source = replace(source, sha256=receipt.sha256, size=source.size or receipt.size)
        return source

    def missing(self, sources: Iterable[Download]) -> list[Download]:
        """The files that are not in the folder yet."""
        return [source for source in sources if not self.path(source.name).exists()]

    def fetch(self, sources: Iterable[Download]) -> set[str]:
        """Download the missing files in parallel and check the present ones; returns the names of the available files.

        Unavailable optional files are skipped with a warning. Raises FidtoolsError with every other file that failed,
        the path to put it at by hand, and its size and hash; DataError for a file that is not the expected one.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(self.folder):
            self.receipts = Receipts.of(self.folder)
            return self._fetch(sources)

    def _fetch(self, sources: Iterable[Download]) -> set[str]:
        sources = list(sources)
        wanted = [self.resolved(source) for source in sources]
        missing = self.missing(wanted)
        absent = {source.name for source in missing}
        for source in wanted:
            if source.name not in absent:
                self.receipts.verify(source)
        self._check_disk_space(missing)
        self._level = logging.INFO if len(missing) <= MAX_LISTED else logging.DEBUG
        failures = self._fetch_missing(missing)
        self._report(failures, unpublished={source.name for source in sources if source.sha256 is None})
        return {source.name for source in wanted} - {source.name for source, _ in failures}

    def _report(self, failures: list[Failure], unpublished: set[str]) -> None:
        """Warn about optional files. Raises FidtoolsError for the others."""
        for source, error in failures:
            log.log(self._level, "%s: unavailable: %s", source.url, error.reason)
        if optional := [source.name for source, _ in failures if source.optional]:
            log.warning("unavailable, skipped: %s", _listed(optional))
        if needed := [failure for failure in failures if not failure[0].optional]:
            raise FidtoolsError("\n".join(self._message(*failure, unpublished) for failure in needed))

    def _check_disk_space(self, missing: list[Download]) -> None:
        needed = sum(source.size or 0 for source in missing)
        needed -= sum(size_of(self.folder / f".{source.name}.partial") for source in missing)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            hint = "choose a folder on another disk with --downloads"
            raise FidtoolsError(f"{self.folder}: {human_size(needed)} to fetch, {human_size(free)} free", hint=hint)

    def _fetch_missing(self, missing: list[Download]) -> list[Failure]:
        """Run the transfers; returns the failures, in the order of `missing`."""
        failures: dict[str, Failure] = {}
        stop = threading.Event()
        with progress_bars(missing) as progress, ThreadPoolExecutor(self.jobs) as pool:
            try:
                running = {pool.submit(self._run, source, progress, stop): source for source in missing}
                for done in as_completed(running):
                    source = running[done]
                    if (error := self._finish(source, done)) is not None:
                        failures[source.name] = source, error
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return [failures[source.name] for source in missing if source.name in failures]

    def _run(self, source: Download, progress: Mapping[str, Progress], stop: threading.Event) -> str:
        log.log(self._level, "fetching %s%s", source.url, f" ({human_size(source.size)})" if source.size else "")
        attempts = min(self.retries.attempts, OPTIONAL_ATTEMPTS) if source.optional else self.retries.attempts
        retries = replace(self.retries, attempts=attempts)
        return Transfer(source, self.folder, retries, progress[source.name], stop).run()

    def _finish(self, source: Download, done: Future[str]) -> TransferError | None:
        try:
            sha256 = done.result()
        except TransferError as error:
            return error
        if source.sha256 is None:
            log.log(self._level, "%s: no hash is published; recorded %s", source.name, sha256)
        self.receipts.record(source, sha256)
        return None

    def _message(self, source: Download, error: TransferError, unpublished: set[str]) -> str:
        if error.is_other_file and source.name in unpublished:
            hint = f"to accept this one, remove its entry in {self.receipts.path}"
            return f"{source.url}: {error.reason}\n  the first download was another file; {hint}"
        return (
            f"{source.url}: {error.reason}\n  without network access, download the file on another machine, put"
            f" it at {self.path(source.name)} ({size_and_hash(source)}), and run this again"
        )


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: of two fetches into one folder, the second waits and then finds the files there."""
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("%s: waiting for another fetch to finish", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _listed(names: list[str]) -> str:
    """The first names, and the number of the others."""
    more = f" and {len(names) - MAX_LISTED:,} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more
