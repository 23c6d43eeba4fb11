"""Files that we wrote ourselves, with damage that fits their records: values or a message, in bounded memory."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fidtools.console import quiet_stderr
from fidtools.data.corpus import open_passages
from fidtools.data.embedding_stream import stream_embeddings
from fidtools.data.embeddings import read_embeddings
from fidtools.data.jsonl import write_lines
from fidtools.data.memory_limit import limited_memory
from fidtools.data.records import Passage
from fidtools.errors import DataError, FidtoolsError
from fidtools.search.faiss_file import load_faiss, open_file
from fidtools.sparse.engine import BM25Settings
from fidtools.sparse.tantivy_engine import TantivyEngine, build_tantivy

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))  # FUZZ_EXAMPLES=100000 for an hour of it
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MEMORY = 512 << 20  # that opening and searching files of a few kB may take
ROWS, DIM = 60, 8
VECTORS = np.random.default_rng(0).standard_normal((ROWS, DIM), dtype=np.float32)
PASSAGES = [Passage(id=f"é{i}", title="t", text=f"Ada came from town {i % 7}", doc_id=f"d{i % 3}") for i in range(ROWS)]
BM25 = BM25Settings(engine="tantivy")
FACTORIES = ["Flat", "IVF4,Flat", "HNSW8", "SQ8", "IVF4,PQ4x4", "PCA4,IVF4,SQ8", "IVF4,PQ4x4fs"]


def read_corpus(folder: Path) -> None:
    corpus = open_passages(folder / "p.jsonl")
    deque(corpus.ids(), maxlen=0)
    deque(corpus, maxlen=0)
    for passage in PASSAGES[:3]:
        corpus.row_of(passage.id)
        corpus.rows_within(str(passage.doc_id))


def read_vectors(folder: Path) -> None:
    found = read_embeddings(folder / "e.npy")
    found.decoded()
    deque(found.ids, maxlen=0)


def search_words(folder: Path) -> None:
    engine = TantivyEngine(folder / "bm25", BM25, ROWS)
    engine.search(["town Ada", "5"], 5)
    engine.search(["town"], 5, ["d1"])


def search_vectors(path: Path) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        with contextlib.suppress(RuntimeError):  # which `FaissIndex.search` reports
            open_file(folder / path, ROWS, DIM).search(VECTORS[:3], 5)

    return read


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus and its rows, embeddings, a BM25 index and FAISS indexes."""
    folder, faiss = tmp_path_factory.mktemp("whole"), load_faiss()
    write_lines(folder / "p.jsonl", [passage.to_json() for passage in PASSAGES])
    open_passages(folder / "p.jsonl")
    with stream_embeddings(folder / "e.npy", DIM, "float32", {"encoder": {"normalize": True}}) as writer:
        writer.append([passage.id for passage in PASSAGES], VECTORS)
    build_tantivy(folder / "bm25", PASSAGES, BM25)
    for number, factory in enumerate(FACTORIES):
        index = faiss.index_factory(DIM, factory, faiss.METRIC_INNER_PRODUCT)
        with quiet_stderr():  # FAISS would like more vectors
            index.train(VECTORS)
        index.add(VECTORS)
        faiss.write_index(index, str(folder / f"{number}.faiss"))
    return folder


READERS: dict[str, Callable[[Path], None]] = {
    "p.jsonl.rows/*.npy": read_corpus,
    "p.jsonl.rows/meta.json": read_corpus,
    "p.jsonl.rows/passages.ids": read_corpus,
    "e.npy": read_vectors,
    "e.json": read_vectors,
    "e.ids": read_vectors,
    "bm25/*": search_words,
    "bm25/*.store": search_words,
    **{f"{n}.faiss": search_vectors(Path(f"{n}.faiss")) for n in range(len(FACTORIES))},
}
PIECES = st.binary(min_size=1, max_size=4) | st.sampled_from(
    [b"\xff" * 4, b"\x7f" + b"\xff" * 7, b"\0" * 8, b"9" * 9, b"\0\0\0\x10", b"\0\0\0\x40\0\0\0\0", b"{", b"null"]
)


@pytest.mark.parametrize("pattern", READERS)
def test_whole_folders_are_read(pattern: str, whole: Path) -> None:
    assert sorted(whole.glob(pattern))
    READERS[pattern](whole)


def test_an_empty_file_of_ids_is_named(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    (tmp_path / "copy/p.jsonl.rows/passages.ids").write_bytes(b"")
    with pytest.raises(DataError, match="passages.ids: the index of the passages is damaged"):
        read_corpus(tmp_path / "copy")


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("length", [1, 10, 26, 80, 83])
def test_a_faiss_index_that_was_cut_off_is_refused(number: int, length: int, whole: Path, tmp_path: Path) -> None:
    """FAISS reads on beyond the end of its memory map, which ends the process that does it."""
    cut = tmp_path / "cut.faiss"
    cut.write_bytes((whole / f"{number}.faiss").read_bytes()[:length])
    with pytest.raises(DataError, match="damaged: FAISS cannot read it"):
        open_file(cut, ROWS, DIM)


@pytest.mark.parametrize("pattern", [pattern for pattern in READERS if not pattern.endswith(".faiss")])
@FUZZ
@given(data=st.data())
def test_damaged_folders_are_read_or_refused(pattern: str, whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    damage_and_read(pattern, whole, tmp_path, data)


@pytest.mark.parametrize("pattern", [pattern for pattern in READERS if pattern.endswith(".faiss")])
@settings(FUZZ, max_examples=max(1, EXAMPLES // 6))  # each starts a process
@given(data=st.data())
def test_damaged_indexes_are_read_or_refused(pattern: str, whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    damage_and_read(pattern, whole, tmp_path, data)


def damage_and_read(pattern: str, whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Read a copy of the folder in which one of the pattern's files has changes, or was cut off, or both."""
    files = sorted(path for path in whole.glob(pattern) if path.stat().st_size)
    damaged = data.draw(st.sampled_from(range(len(files))), "file")
    content = bytearray(files[damaged].read_bytes())
    for _ in range(data.draw(st.integers(1, 3), "changes")):
        far = data.draw(st.sampled_from([64, 256, len(content)]), "far")
        at, piece = data.draw(st.integers(0, min(far, len(content))), "at"), data.draw(PIECES, "piece")
        replaced = len(piece) if data.draw(st.booleans(), "in place") else 0
        content[at : at + replaced] = piece
    if data.draw(st.booleans(), "cut off"):
        del content[data.draw(st.integers(0, len(content)), "length") :]
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    shutil.copytree(whole, tmp_path / "copy")
    (tmp_path / "copy" / files[damaged].relative_to(whole)).write_bytes(content)
    with limited_memory(MEMORY), contextlib.suppress(FidtoolsError):
        READERS[pattern](tmp_path / "copy")


@pytest.mark.parametrize("layers", [1 << 62, 1 << 40, 8])
def test_a_store_of_more_layers_than_bytes_is_not_opened(layers: int, whole: Path, tmp_path: Path) -> None:
    """With the first, Rust panics; for the second, it asks for more memory than there is, and ends the process."""
    shutil.copytree(whole / "bm25", tmp_path / "bm25")
    file = sorted((tmp_path / "bm25").glob("*.store"))[0]
    content = file.read_bytes()
    start = content.index(b"\x81", 0, -100)  # the index of blocks: one layer
    number = bytes((layers >> 7 * place) & 127 for place in range(9)) + b"\x80"
    file.write_bytes(content[:start] + number + content[start + 1 :])
    with pytest.raises(DataError, match="damaged: it has more layers than bytes"):
        search_words(tmp_path)


def test_a_panic_of_rust_is_a_message_alone(whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(whole / "bm25", tmp_path / "bm25")
    for file in (tmp_path / "bm25").glob("*.term"):
        content = bytearray(file.read_bytes())
        content[-95] = 0x7F  # the last byte before 94 of a footer: of the length of a table
        file.write_bytes(content)
    with pytest.raises(DataError, match="tantivy cannot open this index: "):
        search_words(tmp_path)
    assert capfd.readouterr().err == ""
