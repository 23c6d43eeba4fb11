"""Embeddings in other systems' files: the layouts told apart, and nothing run that a pickle asks for."""

from __future__ import annotations

import os
import pickle

import numpy as np
import orjson
import pytest

from fidtools.cli import run
from fidtools.data.embedding_layout import EmbeddingFiles
from fidtools.errors import DataError
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
