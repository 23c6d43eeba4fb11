"""Writing embeddings whose number is known: rows in any order and by several processes, and a killed run resumes."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from fidtools.data.embedding_layout import SAMPLE, EmbeddingFiles, IdsFile, embeddings_record
from fidtools.data.embedding_marks import DoneMarks
from fidtools.data.files import PathLike
from fidtools.data.jsonl import as_read_back, kept_object, write_json
from fidtools.data.locks import exclusive
from fidtools.data.vector_file import VectorFile, npy_header
from fidtools.data.vector_type import VectorType
from fidtools.errors import REPLACE, START_OVER, FidtoolsError, MismatchError, kept_when_full, refuse_other_settings
from fidtools.logs import log
from fidtools.typing import Array


class RowWriter:
    """Writes rows into unfinished embeddings that `create_embeddings` has prepared, in this process or another one."""

    def __init__(self, path: PathLike, kind: VectorType) -> None:
        self.files, self._kind = EmbeddingFiles.to_write(path), kind

    def __enter__(self) -> Self:
        self._vectors = VectorFile(self.files.partial().vectors, self._kind, self.files.vectors)
        self._marks = DoneMarks(self.files.done)
        return self

    def missing(self, start: int, stop: int) -> bool:
        """Whether any of rows start … stop-1 has yet to be written."""
        return not self._marks.all_done(start, stop)

    def write(self, start: int, vectors: Array) -> None:
        """Store `vectors` (m × d) as rows start … start+m-1. Any order; the same rows may be written again."""
        self._vectors.write(start, vectors)
        self._marks.mark(start, start + len(vectors))  # after the vectors: a killed run must not mark a row it lacks

    def count_missing(self) -> int:
        """How many rows no process has written."""
        return self._marks.count_missing()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._vectors.close(sync=kind is None)
        self._marks.close()


@contextlib.contextmanager
def create_embeddings(
    path: PathLike,
    rows: int,
    kind: VectorType,
    meta: dict[str, Any],
    *,
    ids: Iterable[str],
    resume: bool = False,
) -> Iterator[RowWriter]:
    """Embeddings of full size to write rows into, which appear as `X.npy`, `X.ids`, `X.json` when the block ends well.

    `resume` keeps the rows that a killed run of the same meta, ids and shape has written. Without it, what a killed run
    left is overwritten. Other processes may write rows too, through a RowWriter, while the block runs. Raises
    UsageError when the unfinished run used other settings, FidtoolsError when the disk is too small, another process is
    writing the same file, or rows are missing in the end.
    """
    files, size = EmbeddingFiles.to_write(path), rows * kind.row_bytes
    files.refuse_foreign()
    with exclusive(files.vectors, "writing it", wait=False):
        _check_space(files, size, resume)
        log.info("%s: %s × %s %s, %.3g GB", files.vectors, f"{rows:,}", kind.dim, kind.name, size / 1e9)
        with _nothing_left(files):
            state = embeddings_record(meta, rows, kind, _write_ids(files, rows, ids))
            if not (resume and _can_resume(files, state)):
                _prepare(files, rows, kind, state)
        hint = "the rows so far are kept: free some space and continue with --resume"
        with kept_when_full(files.vectors, hint), RowWriter(path, kind) as writer:
            yield writer
            if missing := writer.count_missing():
                raise FidtoolsError(f"{files.vectors}: {missing} of {rows} rows were never written")
        files.publish(state)


def are_finished(path: PathLike, rows: int, kind: VectorType, meta: dict[str, Any], ids: Iterable[str]) -> bool:
    """Whether `create_embeddings` with these arguments has ended well before, and its files are still there.

    Raises UsageError when there is nothing unfinished, and the files that are there were made with other arguments.
    """
    files = EmbeddingFiles.to_write(path)
    if not (before := files.finished_record()):
        return False
    digest = hashlib.sha256()
    for identifier in ids:
        digest.update(identifier.encode() + b"\n")
    before.pop(SAMPLE, None)
    now = as_read_back(embeddings_record(meta, rows, kind, digest.hexdigest()))
    if not files.partial().meta.exists():
        refuse_other_settings(files.vectors, "finished", before, now, REPLACE)
    is_whole = files.vectors.stat().st_size == len(npy_header(rows, kind)) + rows * kind.row_bytes
    return bool(before == now) and is_whole


def clear_unfinished(path: PathLike) -> None:
    """Remove what a killed run has left. Raises FidtoolsError when another process is writing the same file."""
    files = EmbeddingFiles.to_write(path)
    with exclusive(files.vectors, "writing it", wait=False):
        files.clean_up()


@contextlib.contextmanager
def _nothing_left(files: EmbeddingFiles) -> Iterator[None]:
    """Remove what the block has written when it fails, unless an earlier run has left something to resume."""
    try:
        with files.named_when_full():
            yield
    except BaseException:
        if not files.partial().meta.exists():
            files.clean_up()
        raise


def _check_space(files: EmbeddingFiles, need: int, resume: bool) -> None:
    partial = files.partial().vectors
    already = partial.stat().st_blocks * 512 if resume and partial.exists() else 0
    free = shutil.disk_usage(files.vectors.absolute().parent).free
    if need - already > free:
        problem = f"{files.vectors} needs {need / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
        raise FidtoolsError(problem, hint="--dtype float16, int8 or binary takes less; or write to another disk")


def _write_ids(files: EmbeddingFiles, rows: int, ids: Iterable[str]) -> str:
    """Write the ids, and return their hash. Raises MismatchError when there are not `rows` of them."""
    with IdsFile(files.partial().ids) as out:
        for identifier in ids:
            out.write(identifier)
    if out.count != rows:
        raise MismatchError(f"{out.count} ids for {rows} rows", path=files.vectors)
    return out.sha256.hexdigest()


def _can_resume(files: EmbeddingFiles, state: dict[str, Any]) -> bool:
    """Whether a killed run of the same state has left something. Raises UsageError when it was of another state."""
    partial = files.partial()
    if not all(path.exists() for path in (partial.meta, partial.vectors, files.done)):
        return False
    before, now = kept_object(partial.meta), as_read_back(state)
    before.pop(SAMPLE, None)  # of a run that was killed when all was written
    refuse_other_settings(files.vectors, "unfinished", before, now, START_OVER)
    return True


def _prepare(files: EmbeddingFiles, rows: int, kind: VectorType, state: dict[str, Any]) -> None:
    partial = files.partial()
    partial.meta.unlink(missing_ok=True)
    VectorFile.create(partial.vectors, rows, kind)
    DoneMarks.create(files.done, rows)
    write_json(partial.meta, state)  # last: a run that is killed before has nothing to resume
