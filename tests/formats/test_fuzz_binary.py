"""Binary files with damage: reading one ends in values or in a message, never in a traceback, nor in much memory."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import tarfile
import zipfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from fidtools.data.embedding_stream import stream_embeddings
from fidtools.data.embeddings import read_embeddings
from fidtools.data.memory_limit import limited_memory
from fidtools.data.read import read_questions
from fidtools.errors import DataError, FidtoolsError
from fidtools.formats.archives import members
from fidtools.formats.embedding_files import read_pickled
from fidtools.formats.lookup import detect_format
from fidtools.released.checkpoint_files import read_tensors

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
MEMORY = 512 << 20  # that reading a file of a few kB may take: the allowance of a pickle, 256 MB, and room for imports
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)
IDS = ["7", "é", "11"]
LINES = b'{"id": "1", "question": "who wrote it?", "ctxs": [{"id": "p", "text": "text", "score": 1.5}]}\n' * 20


def tarred(mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.GNU_FORMAT) as archive:
        for name in ("qa/a.json", "long/" * 40 + "b.json"):
            info = tarfile.TarInfo(name)
            info.size = len(LINES)
            archive.addfile(info, io.BytesIO(LINES))
    return out.getvalue()


def zipped(method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("qa/a.json", LINES)
        archive.writestr("b.json", b"")
    return out.getvalue()


def npy() -> bytes:
    out = io.BytesIO()
    np.save(out, VECTORS)
    return out.getvalue()


SAMPLES: dict[str, bytes] = {
    **{f"pairs-{n}.pkl": pickle.dumps(list(zip(IDS, VECTORS, strict=True)), protocol=n) for n in (2, 4, 5)},
    **{f"matrix-{n}.pkl": pickle.dumps((np.array(IDS), VECTORS), protocol=n) for n in (2, 4, 5)},
    **{f"objects-{n}.pkl": pickle.dumps((np.array(IDS, dtype=object), VECTORS), protocol=n) for n in (2, 4, 5)},
    "dictionary-4.pkl": pickle.dumps({"embed_data": dict(zip((1, 2, 3), VECTORS, strict=True))}, protocol=4),
    "vectors.npy": npy(),
    "model.safetensors": save({"weight": VECTORS, "bias": VECTORS[0]}),
    "lines.jsonl.gz": gzip.compress(LINES),
    "archive.tar": tarred("w"),
    "archive.tar.gz": tarred("w:gz"),
    "archive.tar.xz": tarred("w:xz"),
    "archive.tar.bz2": tarred("w:bz2"),
    "stored.zip": zipped(zipfile.ZIP_STORED),
    "deflated.zip": zipped(zipfile.ZIP_DEFLATED),
    "lzma.zip": zipped(zipfile.ZIP_LZMA),
}


def read_archive(path: Path) -> None:
    for _, stream in members(path, "*"):
        while stream.read(1 << 16):
            pass


def embeddings(path: Path) -> None:
    """Read the vectors with good files beside them."""
    content = path.read_bytes()
    path.unlink()
    with stream_embeddings(path, 4, "float32", {}) as writer:
        writer.append(IDS, VECTORS)
    path.write_bytes(content)
    np.asarray(read_embeddings(path).vectors)


def reader(name: str) -> Callable[[Path], object]:
    """How a command reads a file of that name."""
    return {
        ".pkl": lambda path: deque(read_pickled(path), maxlen=0),
        ".npy": embeddings,
        ".safetensors": lambda path: read_tensors(path.parent),
        ".jsonl.gz": lambda path: deque(read_questions(path), maxlen=0),
    }.get(name[name.index(".") :], read_archive)


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_files_are_read(name, tmp_path):
    (tmp_path / name).write_bytes(SAMPLES[name])
    reader(name)(tmp_path / name)


PIECES = st.binary(max_size=4) | st.sampled_from(
    [b"\xff" * 4, b"\x7f" + b"\xff" * 7, b"\0" * 8, b"9" * 12, b"O8", b"R", b"b"]
)


@pytest.mark.parametrize("name", SAMPLES)
@FUZZ
@given(data=st.data())
def test_damaged_files_are_read_or_refused(name, tmp_path, data):
    content = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(1, 4), "changes")):
        at, piece = data.draw(st.integers(0, len(content)), "at"), data.draw(PIECES, "piece")
        replaced = len(piece) if data.draw(st.booleans(), "in place") else 0
        content[at : at + replaced] = piece
    path = tmp_path / name
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)), "length")])
    with limited_memory(MEMORY), contextlib.suppress(FidtoolsError, OSError):
        detect_format(path)
    with limited_memory(MEMORY), contextlib.suppress(FidtoolsError):
        reader(name)(path)


@FUZZ
@given(data=st.binary(max_size=200), protocol=st.sampled_from([b"\x80\2", b"\x80\4", b"\x80\5"]))
def test_any_opcodes(tmp_path, data, protocol):
    (tmp_path / "any.pkl").write_bytes(protocol + data)
    with limited_memory(MEMORY), contextlib.suppress(DataError):
        deque(read_pickled(tmp_path / "any.pkl"), maxlen=0)


def test_a_name_that_fills_the_memory_is_refused(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 32
    with gzip.open(tmp_path / "bomb.tar.gz", "wb") as out:
        out.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(4 << 20))
    with pytest.raises(DataError, match=f"a name of {1 << 32} bytes"):
        read_archive(tmp_path / "bomb.tar.gz")


def test_a_member_without_end_is_read_in_blocks(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.jsonl", "w", force_zip64=True) as out,
    ):
        for _ in range(100):
            out.write(bytes(1 << 20))
    with limited_memory(64 << 20):
        read_archive(tmp_path / "bomb.zip")
