"""int8 and binary vectors: sentence-transformers' codes, what they stand for, and records that do not fit them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fidtools.data.embedding_writer import create_embeddings
from fidtools.data.embeddings import read_embeddings
from fidtools.data.vector_type import VectorType, fitted, truncated
from fidtools.errors import FidtoolsError, UsageError

VECTORS = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
RANGES = np.stack([VECTORS.min(0), VECTORS.max(0)])


def int8(dim: int = 16) -> VectorType:
    return VectorType("int8", dim, RANGES[:, :dim])


def test_the_codes_are_those_of_sentence_transformers() -> None:
    quantize = pytest.importorskip("sentence_transformers.util.quantization").quantize_embeddings
    wide = 2 * VECTORS  # half of the numbers lie outside the ranges
    for vectors in (VECTORS, wide):
        np.testing.assert_array_equal(int8().encode(vectors), quantize(vectors, precision="int8", ranges=RANGES))
        np.testing.assert_array_equal(VectorType("binary", 16).encode(vectors), quantize(vectors, precision="ubinary"))


def test_an_int8_code_is_the_middle_of_its_bin() -> None:
    step = (RANGES[1] - RANGES[0]) / 255
    assert (np.abs(int8().decode(int8().encode(VECTORS)) - VECTORS) <= step / 2 + 1e-6).all()
    outside = int8().decode(int8().encode(np.full((1, 16), 99, np.float32)))[0]
    np.testing.assert_allclose(outside, RANGES[1] + step / 2, rtol=1e-5)


def test_a_constant_dimension_stays_what_it_is() -> None:
    kind = VectorType("int8", 2, np.array([[0.5, -1], [0.5, 1]], np.float32))
    assert kind.decode(kind.encode(np.array([[0.5, 1]], np.float32)))[0, 0] == 0.5


def test_bits_by_hand() -> None:
    kind = VectorType("binary", 8)
    stored = kind.encode(np.array([[1, -1, 0, 2, -3, -4, -5, 0.1]], np.float32))
    assert stored.tolist() == [[0b10010001]]
    expected = np.array([[1, -1, -1, 1, -1, -1, -1, 1]], np.float32) * np.float32(8**-0.5)
    np.testing.assert_array_equal(kind.decode(stored), expected)


def test_truncated_vectors_have_norm_1_only_where_the_encoder_normalizes() -> None:
    np.testing.assert_array_equal(truncated(VECTORS, 4, normalize=False), VECTORS[:, :4])
    np.testing.assert_allclose(np.linalg.norm(truncated(VECTORS, 4, normalize=True), axis=1), 1, rtol=1e-6)
    assert fitted(VECTORS, 4, 16, normalize=False).shape == (200, 4)
    assert fitted(VECTORS, 4, None, normalize=False).shape == (200, 16), "of other vectors: refused elsewhere"


@pytest.mark.parametrize(
    ("name", "dim", "message"),
    [
        ("float64", 8, "embeddings are float32, float16, int8, binary, not float64"),
        ("binary", 12, r"multiple of 8 dimensions, not 12\n  --dim 8, or --dtype int8"),
        ("int8", 8, "need the ranges"),
    ],
)
def test_impossible_types(name: str, dim: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        VectorType(name, dim)


def write(path: Path, kind: VectorType) -> Path:
    with create_embeddings(path, 200, kind, {}, ids=map(str, range(200))) as out:
        out.write(0, VECTORS)
    return path


@pytest.mark.parametrize("kind", [int8(), VectorType("binary", 16)], ids=lambda kind: str(kind.name))
def test_a_file_says_what_its_numbers_mean(tmp_path: Path, kind: VectorType) -> None:
    found = read_embeddings(write(tmp_path / "x.npy", kind))
    assert (found.rows, found.dim, found.kind.name) == (200, 16, kind.name)
    np.testing.assert_array_equal(found.vectors, kind.encode(VECTORS))
    np.testing.assert_array_equal(found.decoded(), kind.decode(kind.encode(VECTORS)))


DAMAGED = {
    "other type": ({"dtype": "binary"}, r"contains int8, but .*x\.json says binary"),
    "unknown type": ({"dtype": "int4"}, r"x\.json: field 'dtype': must be one of float32, .* \(got int4\)"),
    "no type": ({"dtype": None}, r"field 'dtype': must be one of"),
    "other length": ({"dim": 8}, r"field 'ranges': must be the minima and the maxima of 8 dimensions"),
    "no length": ({"dim": "x"}, r"16 dim, but .*x\.json says x"),
    "no ranges": ({"ranges": None}, r"field 'ranges': must be"),
    "crossed ranges": ({"ranges": RANGES[::-1].tolist()}, r"field 'ranges': must be"),
    "words for ranges": ({"ranges": "wide"}, r"field 'ranges': must be"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_record_that_does_not_fit(tmp_path: Path, name: str) -> None:
    path, record = write(tmp_path / "x.npy", int8()), tmp_path / "x.json"
    change, message = DAMAGED[name]
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    with pytest.raises(FidtoolsError, match=message):
        read_embeddings(path)
