"""Embeddings in other systems' files: the layouts told apart, and nothing run that a pickle asks for."""

from __future__ import annotations

import os
import pickle
import resource
import struct

import numpy as np
import orjson
import pytest

from fidtools.cli import run
from fidtools.data.embedding_layout import EmbeddingFiles
from fidtools.errors import DataError
from fidtools.formats.embedding_files import ROWS_PER_BLOCK, read_flashrag
from fidtools.formats.lookup import detect_format
from fidtools.formats.pickles import load_pickle

IDS = ["7", "3", "11"]
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4) / 8
LAYOUTS = {
    "fid": (IDS, VECTORS),
    "fid-half": (IDS, VECTORS.astype(np.float16)),
    "contriever-list": [IDS, VECTORS],
    "tevatron": (VECTORS, IDS),
    "tevatron-array-of-ids": (VECTORS, np.array(IDS)),
    "dpr": list(zip(IDS, VECTORS, strict=True)),
    "dpr-lists": [[name, vector] for name, vector in zip(IDS, VECTORS, strict=True)],
    "emdr2": {"embed_data": {int(name): v.astype(np.float16) for name, v in zip(IDS, VECTORS, strict=True)}},
}


def converted(path, tmp_path):
    assert run(["convert", str(path), "-o", str(tmp_path / "out.npy"), "-q"]) == 0
    files = EmbeddingFiles.at(tmp_path / "out.npy")
    return files.ids.read_text().split("\n")[:-1], np.load(files.vectors)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_ids_and_vectors(layout, protocol, tmp_path):
    path = tmp_path / "shard_00"
    path.write_bytes(pickle.dumps(LAYOUTS[layout], protocol=protocol))
    assert detect_format(path).name == "pickled-embeddings"
    ids, vectors = converted(path, tmp_path)
    assert ids == IDS
    np.testing.assert_array_equal(vectors.astype(np.float32), VECTORS)


def test_pyserini_lines_and_folders_and_flashrag_memmaps(tmp_path):
    lines = [{"id": n, "contents": "t", "vector": v.tolist()} for n, v in zip(IDS, VECTORS, strict=True)]
    (tmp_path / "embeddings.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    ids, vectors = converted(tmp_path / "embeddings.jsonl", tmp_path)
    assert ids == IDS
    np.testing.assert_array_equal(vectors, VECTORS)
    (tmp_path / "emb_e5_4.memmap").write_bytes(VECTORS.tobytes())
    ids, vectors = converted(tmp_path / "emb_e5_4.memmap", tmp_path)
    assert ids == ["0", "1", "2"]
    np.testing.assert_array_equal(vectors, VECTORS)
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexFlatIP(4)
    index.add(VECTORS)
    (tmp_path / "folder").mkdir()
    faiss.write_index(index, str(tmp_path / "folder" / "index"))
    (tmp_path / "folder" / "docid").write_text("\n".join(IDS) + "\n")
    assert detect_format(tmp_path / "folder").name == "pyserini-index"
    ids, vectors = converted(tmp_path / "folder", tmp_path)
    assert ids == IDS
    np.testing.assert_array_equal(vectors, VECTORS)


class Evil:
    """A pickle that would run a command."""

    def __reduce__(self):
        return os.system, ("touch was-run",)


class Sly:
    """A pickle that asks for a harmless-looking import with a side door."""

    def __reduce__(self):
        return getattr, ("text", "upper")


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("value", [Evil(), Sly(), (IDS, Evil()), print, np.load])
def test_a_pickle_that_would_run_something_is_refused(value, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    with pytest.raises(DataError, match="unsafe pickle"):
        load_pickle(path)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ((["1"], VECTORS), "1 ids for 3 vectors"),
        (("1", VECTORS), "the ids are not a list"),
        ([("1", np.zeros(2)), ("2", np.zeros(3))], "different lengths"),
        ({"a": 1}, "not of embeddings"),
        ([], "not of embeddings"),
        ((["1", "2"], np.zeros((2, 0), np.float32)), "vectors of length 0"),
        ([("1", np.zeros(0)), ("2", np.zeros(0))], "vectors of length 0"),
        ([(10**5000, np.zeros(2)), ("2", np.zeros(2))], "an id must be a string or an integer"),
        ([("a", np.zeros(2)), (["b"], np.zeros(2))], "an id must be a string or an integer"),
        ((["\ud800", "1", "2"], VECTORS), "an id must be valid Unicode"),
    ],
)
def test_what_is_wrong_with_a_pickle_is_said(value, said, tmp_path, capsys):
    path = tmp_path / "odd.pkl"
    path.write_bytes(pickle.dumps(value))
    assert run(["convert", str(path), "-o", str(tmp_path / "out.npy")]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.npy").exists()


def test_a_pickle_cut_off_is_said(tmp_path):
    path = tmp_path / "cut.pkl"
    path.write_bytes(pickle.dumps((IDS, VECTORS))[:-20])
    with pytest.raises(DataError, match="truncated or corrupt pickle"):
        load_pickle(path)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def call(module, name, arguments):
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + arguments + b"tR"


def dtype(described, state=b""):
    return call("numpy", "dtype", text(described) + b"K\0K\1") + (b"(" + state + b"tb" if state else b"")


def built(kind, raw, shape=b"K\2\x85"):
    """An array as numpy writes it: made empty, then given its content."""
    empty = call("numpy.core.multiarray", "_reconstruct", b"cnumpy\nndarray\nK\0\x85C\1b")
    return empty + b"(K\1" + shape + kind + b"\x89" + raw + b"tb"


ADDRESSES = b"C\x10" + struct.pack("<QQ", 0x4141414141414141, 0x4141414141414141)
FLOAT_STATE = b"K\3" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
UNSAFE = {
    "objects by ndarray": call("numpy", "ndarray", b"K\2\x85" + dtype("O8") + ADDRESSES),
    "numbers by ndarray": call("numpy", "ndarray", b"K\2\x85" + dtype("f8") + ADDRESSES),
    "ndarray made without a call": b"cnumpy\nndarray\n(K\2\x85" + dtype("O8") + ADDRESSES + b"t\x81",
    "objects by their content": built(dtype("O8"), ADDRESSES),
    "objects from a buffer": call(
        "numpy.core.numeric", "_frombuffer", ADDRESSES + dtype("O8") + b"K\2\x85" + text("C")
    ),
    "an object as a scalar": call("numpy.core.multiarray", "scalar", dtype("O8") + b"C\x08AAAAAAAA"),
    "fields of objects": built(call("numpy", "dtype", b"](" + text("a") + text("O8") + b"\x86eK\0K\1"), ADDRESSES),
    "fields added by the state": built(
        dtype(
            "f8", b"K\3" + text("|") + b"N" + text("a") + b"\x85}" + text("a") + dtype("O8") + b"K\0\x86sK\x08K\1K\x3f"
        ),
        ADDRESSES,
    ),
    "objects by the flags of the state": built(dtype("f8", FLOAT_STATE + b"K\x3f"), ADDRESSES)
    + b"0"
    + built(dtype("O8"), ADDRESSES),
    "void": built(dtype("V8"), ADDRESSES),
    "fewer bytes than the shape": built(dtype("f8"), ADDRESSES, b"K\3\x85"),
    "a shape below zero": built(dtype("f8"), ADDRESSES, b"J\xfe\xff\xff\xffJ\xff\xff\xff\xff\x86"),
    "strings of no length": built(dtype("U0"), b"C\0", b"J\xff\xff\xff\x7f\x85"),
    "characters that do not exist": built(dtype("U2"), ADDRESSES),
    "attributes of a function": b"cnumpy\nndarray\nN}" + text("_function") + b"Ns\x86b",
    "a bytearray of a number": call("builtins", "bytearray", b"J\xff\xff\xff\x7f"),
    "a memo of 2 ** 31 places": b"Nr\xff\xff\xff\x7f",
    "bytes without end": b"\x8e" + struct.pack("<Q", 1 << 40) + b"a",
}


@pytest.mark.parametrize("name", UNSAFE)
def test_bytes_of_a_pickle_never_become_objects_or_any_amount_of_memory(name, tmp_path, capsys):
    path = tmp_path / "unsafe.pkl"
    vectors = built(dtype("f4", FLOAT_STATE + b"K\0"), b"C\x10" + bytes(16), b"K\2K\2\x86")
    path.write_bytes(b"\x80\x03(" + UNSAFE[name] + vectors + b"t.")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run(["convert", str(path), "-o", str(tmp_path / "out.npy"), "-q"]) == 1
    assert capsys.readouterr().err.startswith(f"fidtools: {path}: ")
    assert not (tmp_path / "out.npy").exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB


def test_the_same_parts_by_numpy_s_own_rules_are_read(tmp_path):
    path = tmp_path / "plain.pkl"
    ids = built(dtype("O8"), b"](" + text("a") + text("b") + b"e")
    vectors = built(dtype("f4", FLOAT_STATE + b"K\0"), b"C\x10" + struct.pack("<4f", 1, 2, 3, 4), b"K\2K\2\x86")
    path.write_bytes(b"\x80\x03(" + ids + vectors + b"t.")
    names, found = converted(path, tmp_path)
    assert names == ["a", "b"]
    assert found.tolist() == [[1, 2], [3, 4]]


def test_a_vector_listed_very_often_does_not_fill_memory_or_disk(tmp_path, capsys):
    vector = np.zeros(1 << 18, np.float32)  # 1 MB
    path = tmp_path / "repeated.pkl"
    path.write_bytes(pickle.dumps([(str(n), vector) for n in range(1000)]))
    assert run(["convert", str(path), "-o", str(tmp_path / "out.npy"), "-q"]) == 1
    assert "far more memory than the file's size" in capsys.readouterr().err


def test_an_array_of_text_ids_a_big_endian_matrix_and_fortran_order(tmp_path):
    path = tmp_path / "odd.pkl"
    path.write_bytes(pickle.dumps((np.array(IDS, dtype=object), np.asfortranarray(VECTORS.astype(">f4")))))
    ids, vectors = converted(path, tmp_path)
    assert ids == IDS
    np.testing.assert_array_equal(vectors, VECTORS)


@pytest.mark.parametrize("width", [0, -4, 1e400])
def test_a_flashrag_memmap_whose_config_gives_no_length_is_refused(width, tmp_path):
    (tmp_path / "emb_e5_4.memmap").write_bytes(VECTORS.tobytes())
    (tmp_path / "config.json").write_text(f'{{"hidden_size": {width:g}}}'.replace("inf", "1e400"))
    with pytest.raises(DataError, match="hidden_size"):
        list(read_flashrag(tmp_path / "emb_e5_4.memmap"))


def test_another_length_in_a_later_block_is_said(tmp_path, capsys):
    line = '{"id": "%d", "contents": "t", "vector": %s}\n'
    lines = [line % (row, [1.0, 2.0]) for row in range(ROWS_PER_BLOCK)]
    (tmp_path / "e.jsonl").write_text("".join(lines) + line % (ROWS_PER_BLOCK, [1.0, 2.0, 3.0]))
    assert run(["convert", str(tmp_path / "e.jsonl"), "-o", str(tmp_path / "out.npy")]) == 1
    said = f"e.jsonl: field 'id': has a vector of length 3 after those of length 2 (got {ROWS_PER_BLOCK})"
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.npy").exists()
