"""Embeddings on disk: nothing is seen before it is whole, and nothing that does not belong together is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fidtools.data.embedding_stream import stream_embeddings
from fidtools.data.embedding_writer import RowWriter, create_embeddings
from fidtools.data.embeddings import read_embeddings
from fidtools.data.vector_type import VectorType
from fidtools.errors import DataError, FidtoolsError, MismatchError, UsageError

IDS = [f"p{i}" for i in range(7)]
VECTORS = np.arange(21, dtype=np.float32).reshape(7, 3)
META = {"encoder": {"weights": "abc"}}


def write(path: Path, **options: object) -> None:
    with create_embeddings(path, 7, VectorType("float32", 3), META, ids=iter(IDS), **options) as out:  # type: ignore[arg-type]
        out.write(4, VECTORS[4:])
        out.write(0, VECTORS[:4])


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_rows_in_any_order_make_one_triple(tmp_path: Path) -> None:
    write(tmp_path / "x.npy")
    assert names(tmp_path) == ["x.ids", "x.json", "x.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy", mmap_mode="r"), VECTORS)
    found = read_embeddings(tmp_path / "x.npy")
    assert (found.rows, found.dim, list(found.ids), found.ids[-1]) == (7, 3, IDS, "p6")
    assert found.meta["encoder"] == {"weights": "abc"}


def test_a_stream_gives_the_same_bytes_as_a_file_of_known_size(tmp_path: Path) -> None:
    write(tmp_path / "known.npy")
    with stream_embeddings(tmp_path / "stream.npy", 3, "float32", META) as out:
        out.append(IDS[:5], VECTORS[:5])
        out.append(IDS[5:], VECTORS[5:])
    for suffix in (".npy", ".ids", ".json"):
        assert (tmp_path / f"known{suffix}").read_bytes() == (tmp_path / f"stream{suffix}").read_bytes()


def test_another_array_of_the_same_shape_is_refused(tmp_path: Path) -> None:
    path, record = tmp_path / "x.npy", tmp_path / "x.json"
    write(path)
    write(path, resume=True)
    np.save(path, np.asfortranarray(VECTORS))  # the same vectors in another order of memory
    read_embeddings(path)
    np.save(path, VECTORS + 1)
    with pytest.raises(MismatchError, match="not the vectors that .*x.json describes"):
        read_embeddings(path)
    record.write_text(json.dumps({k: v for k, v in json.loads(record.read_text()).items() if k != "sample_sha256"}))
    read_embeddings(path)


KILLED = """
import os, sys, numpy as np
from fidtools.data.embedding_writer import create_embeddings
from fidtools.data.vector_type import VectorType
ids = [f"p{i}" for i in range(7)]
with create_embeddings(sys.argv[1], 7, VectorType("float32", 3), {"encoder": {"weights": "abc"}}, ids=ids) as out:
    out.write(4, np.arange(12, 21, dtype=np.float32).reshape(3, 3))
    os.kill(os.getpid(), 9)
"""


def test_a_killed_run_is_invisible_and_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)]).returncode == -9
    assert not path.exists()
    with create_embeddings(path, 7, VectorType("float32", 3), META, ids=iter(IDS), resume=True) as out:
        assert out.missing(0, 4)
        assert not out.missing(4, 7)
        out.write(0, VECTORS[:4])
    write(tmp_path / "undisturbed.npy")
    assert path.read_bytes() == (tmp_path / "undisturbed.npy").read_bytes()


CHANGED = {
    "encoder": ({"meta": {"encoder": {"weights": "other"}}}, "encoder.weights was abc, is now other"),
    "ids": ({"ids": [*IDS[:6], "q"]}, "ids_sha256 was "),
    "dtype": ({"kind": VectorType("float16", 3)}, "dtype was float32, is now float16"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_an_unfinished_run_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.npy"
    changed, message = CHANGED[name]
    subprocess.run([sys.executable, "-c", KILLED, str(path)])
    options = {"kind": VectorType("float32", 3), "meta": META, "ids": IDS} | changed
    with pytest.raises(UsageError, match=rf"x\.npy: the unfinished run used other settings: {message}"):  # noqa: SIM117
        with create_embeddings(path, 7, resume=True, **options):  # type: ignore[arg-type]
            pass
    with create_embeddings(path, 7, VectorType("float32", 3), META, ids=IDS, resume=True) as out:
        assert not out.missing(4, 7)  # what it had written is still there
        out.write(0, VECTORS[:4])


def test_without_resume_an_unfinished_run_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    subprocess.run([sys.executable, "-c", KILLED, str(path)])
    with create_embeddings(path, 7, VectorType("float16", 3), META, ids=IDS) as out:
        assert out.missing(4, 7)
        out.write(0, VECTORS)
    assert names(tmp_path) == ["x.ids", "x.json", "x.npy"]


def test_resume_with_nothing_to_resume_starts(tmp_path: Path) -> None:
    write(tmp_path / "x.npy", resume=True)
    np.testing.assert_array_equal(read_embeddings(tmp_path / "x.npy").vectors, VECTORS)


def test_a_second_process_is_refused_while_the_first_writes(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    with create_embeddings(path, 7, VectorType("float32", 3), META, ids=IDS) as first:
        with pytest.raises(FidtoolsError, match=r"x\.npy: another process is writing it"):
            write(path)
        first.write(0, VECTORS)
    np.testing.assert_array_equal(read_embeddings(path).vectors, VECTORS)


def test_two_processes_fill_one_file(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    with create_embeddings(path, 7, VectorType("float32", 3), META, ids=IDS) as first:
        with RowWriter(path, VectorType("float32", 3)) as second:
            second.write(3, VECTORS[3:])
        first.write(0, VECTORS[:3])
    np.testing.assert_array_equal(read_embeddings(path).vectors, VECTORS)


def test_rows_never_written_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FidtoolsError, match="3 of 7 rows were never written"):  # noqa: SIM117
        with create_embeddings(tmp_path / "x.npy", 7, VectorType("float32", 3), META, ids=IDS) as out:
            out.write(0, VECTORS[:4])
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(tmp_path: Path, bad: float) -> None:
    vectors = np.array([[0.0], [1.0], [bad], [bad]], np.float32)
    with pytest.raises(DataError, match=r"a vector with NaN or infinite numbers \(got 2\)"):  # noqa: SIM117
        with create_embeddings(tmp_path / "x.npy", 4, VectorType("float32", 1), META, ids=list("abcd")) as out:
            out.write(0, vectors)


def test_numbers_too_large_for_float16_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too large for float16"):  # noqa: SIM117
        with create_embeddings(tmp_path / "x.npy", 1, VectorType("float16", 1), META, ids=["a"]) as out:
            out.write(0, np.array([[1e6]], np.float32))


def test_more_than_the_disk_holds_is_said_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(FidtoolsError, match=r"needs 1\.6e\+09 GB, .* are free"):  # noqa: SIM117
        with create_embeddings(tmp_path / "x.npy", 4 * 10**14, VectorType("float32", 1000), META, ids=[]):
            pass
    assert names(tmp_path) == []


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(MismatchError, match=r"x\.npy: truncated or corrupt \.npy file"):
        read_embeddings(path)
    path.write_bytes(whole)
    (tmp_path / "x.ids").write_text("".join(f"q{i}\n" for i in range(7)))
    with pytest.raises(MismatchError, match=r"x\.ids: its 7 ids do not match the hash in .*x\.json"):
        read_embeddings(path)
    (tmp_path / "x.json").write_text(json.dumps({"rows": 8}))
    with pytest.raises(MismatchError, match=r"x\.npy: 7 rows, but .*x\.json says 8"):
        read_embeddings(path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(MismatchError, match="truncated or corrupt"):
        read_embeddings(tmp_path / "x.npy")


def test_other_suffixes_and_line_breaks_in_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a \.npy file"):
        read_embeddings(tmp_path / "x.bin")
    with pytest.raises(DataError, match="line break"):  # noqa: SIM117
        with create_embeddings(tmp_path / "x.npy", 1, VectorType("float32", 1), META, ids=["a\nb"]):
            pass


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        ("float32", "v.npy: v.ids and v.json, which belong to it, are not beside it"),
        ("float64", "v.npy: expected a two-dimensional array of float32, float16, int8, uint8, found float64 (2, 3)"),
    ],
)
def test_an_array_alone_says_how_it_becomes_embeddings(tmp_path: Path, dtype: str, said: str) -> None:
    np.save(tmp_path / "v.npy", np.ones((2, 3), dtype))
    with pytest.raises(DataError) as error:
        read_embeddings(tmp_path / "v.npy")
    assert str(error.value).splitlines() == [
        f"{tmp_path}/{said}",
        "  fidtools embed makes X.npy with X.ids and X.json; fidtools convert makes them of a pickled (ids, array), or"
        " of Parquet with columns of ids and of lists of floats",
    ]
