"""Writing embeddings whose number is not known: vectors are appended as they come; nothing to resume."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from fidtools.data.embedding_layout import EmbeddingFiles, IdsFile, embeddings_record
from fidtools.data.files import PathLike
from fidtools.data.jsonl import write_json
from fidtools.data.locks import exclusive
from fidtools.data.vector_file import VectorFile
from fidtools.data.vector_type import VectorType
from fidtools.typing import Array


class StreamWriter:
    """Appends vectors with their ids."""

    def __init__(self, vectors: VectorFile, ids: IdsFile) -> None:
        self._vectors, self._ids = vectors, ids

    def append(self, ids: Sequence[str], vectors: Array) -> None:
        """Add rows at the end: `vectors` is m × d, with m ids."""
        self._vectors.write(self._ids.count, vectors)
        for identifier in ids:
            self._ids.write(identifier)


@contextlib.contextmanager
def stream_embeddings(path: PathLike, dim: int, dtype: str, meta: dict[str, Any]) -> Iterator[StreamWriter]:
    """Embeddings to append to, which appear as `X.npy`, `X.ids`, `X.json` when the block ends well.

    Raises FidtoolsError when another process is writing the same file.
    """
    files, kind = EmbeddingFiles.to_write(path), VectorType(dtype, dim)
    files.refuse_foreign()
    partial = files.partial()
    with exclusive(files.vectors, "writing it", wait=False):
        try:
            with files.named_when_full():
                VectorFile.create(partial.vectors, 0, kind)
                vectors = VectorFile(partial.vectors, kind, files.vectors)
                with contextlib.closing(vectors), IdsFile(partial.ids) as ids:
                    yield StreamWriter(vectors, ids)
                    vectors.set_rows(ids.count)
                record = embeddings_record(meta, ids.count, kind, ids.sha256.hexdigest())
                write_json(partial.meta, record)
        except BaseException:
            partial.remove()
            raise
        files.publish(record)  # when this is interrupted, the unfinished record says whose the renamed files are
