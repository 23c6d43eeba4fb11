"""Many files at once into one folder, each checked against the table or against what was recorded the first time."""

from __future__ import annotations

import fcntl
import logging
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import quote

import orjson

from fidtools.data.jsonl import write_json
from fidtools.datasets.bars import FEW, bars
from fidtools.datasets.transfer import Patience, Progress, Transfer, TransferError, file_sha256
from fidtools.datasets.urls import Source
from fidtools.errors import DataError, FidtoolsError
from fidtools.logs import log

RECORD = "downloads.json"
OPTIONAL_ATTEMPTS = 3


@dataclass(frozen=True)
class Receipt:
    """What is known of a file that has been fetched; `mtime_ns` saves hashing it again while it lies untouched."""

    url: str
    size: int
    sha256: str
    mtime_ns: int


class Downloads:
    """A folder of downloaded files, with `downloads.json` that says what each is.

    A file that somebody put there is used like one that was fetched. `mirror` is an address under which the files are
    found by their names, in place of their own addresses.
    """

    def __init__(
        self, folder: Path, *, mirror: str | None = None, jobs: int = 4, patience: Patience | None = None
    ) -> None:
        self.folder, self.mirror, self.jobs = folder, mirror, jobs
        self.patience = patience or Patience()
        self.receipts = self._read()
        self._level = logging.INFO

    def _read(self) -> dict[str, Receipt]:
        path = self.folder / RECORD
        if not path.exists():
            return {}
        try:
            return {name: Receipt(**entry) for name, entry in orjson.loads(path.read_bytes()).items()}
        except (orjson.JSONDecodeError, TypeError, AttributeError) as error:
            raise DataError(f"not a record of downloads: {error}", path=path, hint="remove it") from error

    def path(self, name: str) -> Path:
        """Where the file of that name lies."""
        return self.folder / name

    def resolved(self, source: Source) -> Source:
        """The source as it will be fetched: from the mirror, and with the hash of the first download if it has none."""
        if self.mirror is not None:
            source = replace(source, url=f"{self.mirror.rstrip('/')}/{quote(source.name)}")
        receipt = self.receipts.get(source.name)
        if source.sha256 is None and receipt is not None:
            source = replace(source, sha256=receipt.sha256, size=source.size or receipt.size)
        return source

    def missing(self, sources: Iterable[Source]) -> list[Source]:
        """The sources whose files are not there yet."""
        return [source for source in sources if not self.path(source.name).exists()]

    def fetch(self, sources: Iterable[Source]) -> set[str]:
        """Bring all files, several at a time, and check those that are there; returns the names of the ones to be had.

        Optional files that cannot be had are left out with a warning. Raises FidtoolsError that names every other file
        that failed, where it would have to be put by hand, and its size and hash.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(self.folder):
            self.receipts = self._read()
            return self._fetch(sources)

    def _fetch(self, sources: Iterable[Source]) -> set[str]:
        sources = list(sources)
        wanted = [self.resolved(source) for source in sources]
        unpublished = {source.name for source in sources if source.sha256 is None}
        missing = self.missing(wanted)
        absent = {source.name for source in missing}
        for source in wanted:
            if source.name not in absent:
                self._verify(source)
        self._check_room(missing)
        self._level = logging.INFO if len(missing) <= FEW else logging.DEBUG
        failures = self._fetch_missing(missing)
        lost = {source.name for source, _ in failures}
        for source, error in failures:
            log.log(self._level, "%s: not to be had: %s", source.url, error.reason)
        if left_out := [source.name for source, _ in failures if source.optional]:
            log.warning("left out, not to be had: %s", _listed(left_out))
        if needed := [failure for failure in failures if not failure[0].optional]:
            raise FidtoolsError("\n".join(self._complaint(*failure, unpublished) for failure in needed))
        return {source.name for source in wanted} - lost

    def _verify(self, source: Source) -> None:
        """Compare a file that is there with the published or recorded hash; record it when there is none."""
        path, stat = self.path(source.name), self.path(source.name).stat()
        receipt = self.receipts.get(source.name)
        if receipt is not None and (receipt.size, receipt.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            sha256 = receipt.sha256
        else:
            log.info("checking %s", path)
            sha256 = file_sha256(path)
        if source.sha256 not in (None, sha256) or source.size not in (None, stat.st_size):
            problem = (
                f"not the file it should be: {stat.st_size:,} bytes with SHA-256 {sha256}, expected {_marks(source)}"
            )
            raise DataError(problem, path=path, hint="remove it, and it is fetched again")
        self._record(source, sha256)

    def _record(self, source: Source, sha256: str) -> None:
        stat = self.path(source.name).stat()
        receipt = Receipt(source.url, stat.st_size, sha256, stat.st_mtime_ns)
        if self.receipts.get(source.name) != receipt:
            self.receipts[source.name] = receipt
            write_json(self.folder / RECORD, {name: asdict(entry) for name, entry in sorted(self.receipts.items())})

    def _check_room(self, missing: list[Source]) -> None:
        needed = sum(source.size or 0 for source in missing)
        needed -= sum(_size(self.folder / f".{source.name}.partial") for source in missing)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            hint = "choose another place with --downloads"
            raise FidtoolsError(f"{self.folder}: {gigabytes(needed)} to fetch, {gigabytes(free)} free", hint=hint)

    def _fetch_missing(self, missing: list[Source]) -> list[tuple[Source, TransferError]]:
        """Run the transfers; returns those that failed, in the order of the sources."""
        failures: dict[str, tuple[Source, TransferError]] = {}
        stop = threading.Event()
        with bars(missing) as progress, ThreadPoolExecutor(self.jobs) as pool:
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

    def _run(self, source: Source, progress: Mapping[str, Progress], stop: threading.Event) -> str:
        log.log(self._level, "fetching %s%s", source.url, f" ({gigabytes(source.size)})" if source.size else "")
        attempts = min(self.patience.attempts, OPTIONAL_ATTEMPTS) if source.optional else self.patience.attempts
        patience = replace(self.patience, attempts=attempts)
        return Transfer(source, self.folder, patience, progress[source.name], stop).run()

    def _finish(self, source: Source, done: Future[str]) -> TransferError | None:
        try:
            sha256 = done.result()
        except TransferError as error:
            return error
        if source.sha256 is None:
            log.log(self._level, "%s: no hash is published; recorded %s", source.name, sha256)
        self._record(source, sha256)
        return None

    def _complaint(self, source: Source, error: TransferError, unpublished: set[str]) -> str:
        if error.is_other_file and source.name in unpublished:
            entry = f"its entry in {self.folder / RECORD}"
            return (
                f"{source.url}: {error.reason}\n  it was another file the first time; to take this one, remove {entry}"
            )
        return (
            f"{source.url}: {error.reason}\n  where this machine has no way to it, bring the file by other means, put"
            f" it at {self.path(source.name)} ({_marks(source)}), and run this again"
        )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two fetches may share a folder: the second waits for the first, and then finds its files there."""
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("%s: waiting for another fetch to finish", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _listed(names: list[str]) -> str:
    """A few names, and how many more."""
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


def _marks(source: Source) -> str:
    """What tells that a file is the right one."""
    size = f"{source.size:,} bytes" if source.size is not None else "size not published"
    return f"{size}, SHA-256 {source.sha256}" if source.sha256 is not None else size


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def gigabytes(size: int) -> str:
    """A number of bytes for people."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
