"""Exact search returns what brute force in float64 returns, whatever the vectors, the memory and the product."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from fidtools.errors import DataError
from fidtools.search.exact import search
from fidtools.search.vectors import ArrayVectors, ConcatenatedVectors, FileVectors, SelectedVectors

RNG = np.random.default_rng


def brute_force(questions, passages, k):
    scores = (questions.astype(np.float64) @ passages.astype(np.float64).T).astype(np.float32)
    rows = np.lexsort((np.broadcast_to(np.arange(len(passages)), scores.shape), -scores))[:, :k]
    return rows, np.take_along_axis(scores, rows, 1)


def normal(n, d, seed=0):
    return RNG(seed).normal(size=(n, d)).astype(np.float32)


def few_distinct(n, d):
    return normal(20, d)[RNG(1).integers(0, 20, n)]


def nearly_equal(n, d):
    return (normal(1, d) + 1e-6 * normal(n, d)).astype(np.float32)


def huge_and_tiny(n, d):
    return normal(n, d) * (10.0 ** RNG(2).integers(-12, 12, (n, 1))).astype(np.float32)


def common_part(n, d):
    return normal(n, d) + 100


def outliers(n, d):
    vectors = normal(n, d)
    vectors[::500] *= 1e4
    return vectors


MAKERS = {
    "normal": normal,
    "few distinct": few_distinct,
    "nearly equal": nearly_equal,
    "huge and tiny": huge_and_tiny,
    "common part": common_part,
    "outliers": outliers,
    "all zero": lambda n, d: np.zeros((n, d), np.float32),
}


@pytest.mark.parametrize("product", ["bf16", "float32"])
@pytest.mark.parametrize("vectors", MAKERS)
@pytest.mark.parametrize(("n", "k"), [(3000, 10), (3001, 100), (40, 100), (1, 1)])
def test_equal_to_brute_force(vectors, product, n, k):
    passages, questions = MAKERS[vectors](n, 24), normal(13, 24, seed=9)
    found = search(questions, ArrayVectors(passages), k, product=product)
    rows, scores = brute_force(questions, passages, k)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.scores, scores)


@pytest.mark.parametrize("product", ["bf16", "float32"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("n", "k"), [(380, 100), (1000, 300), (1001, 999), (1000, 1000), (8193, 2100)])
def test_a_large_share_of_a_corpus_of_any_size(n, k, threads, product):
    """Where groups are single passages, the padding of the last block makes groups of its own."""
    passages, questions = normal(n, 24), normal(100, 24, seed=9)
    rows, scores = brute_force(questions, passages, k)
    try:
        torch.set_num_threads(threads)
        found = search(questions, ArrayVectors(passages), k, product=product)
    finally:
        torch.set_num_threads(1)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.scores, scores)


@pytest.mark.parametrize("tiny", ["passages", "questions"])
def test_vectors_so_small_that_their_squares_vanish(tiny):
    """Their norms in float32 are 0. Half of the passages are asked for, so that the last scores are near 0 too."""
    passages, questions = normal(3000, 24), normal(100, 24, seed=9)
    passages, questions = (passages * 1e-23, questions) if tiny == "passages" else (passages, questions * 1e-23)
    passages, questions = passages.astype(np.float32), questions.astype(np.float32)
    found = search(questions, ArrayVectors(passages), 1500, product="bf16")
    np.testing.assert_array_equal(found.rows, brute_force(questions, passages, 1500)[0])


@pytest.mark.parametrize("memory", [1 << 14, 1 << 18, 1 << 30])
def test_the_result_does_not_depend_on_memory(memory):
    passages, questions = few_distinct(2000, 16), normal(30, 16, seed=9)
    found = search(questions, ArrayVectors(passages), 25, memory=memory, product="bf16")
    np.testing.assert_array_equal(found.rows, brute_force(questions, passages, 25)[0])


@pytest.mark.parametrize("product", ["bf16", "float32"])
@pytest.mark.parametrize("make", [normal, few_distinct, nearly_equal])
def test_threads_share_the_corpus_and_find_the_same(make, product):
    passages, questions = make(9000, 24), normal(200, 24, seed=9)
    rows, scores = brute_force(questions, passages, 10)
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found = search(questions, ArrayVectors(passages), 10, product=product)
            assert torch.get_num_threads() == threads
            np.testing.assert_array_equal(found.rows, rows)
            np.testing.assert_array_equal(found.scores, scores)
        passages[8000] = np.nan
        with pytest.raises(DataError, match="8000"):
            search(questions, ArrayVectors(passages), 10, product=product)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_files_shards_and_selections(tmp_path, dtype):
    passages, questions = normal(500, 16).astype(dtype), normal(5, 16, seed=9)
    np.save(tmp_path / "a.npy", passages[:201])
    np.save(tmp_path / "b.npy", passages[201:])
    stacked = ConcatenatedVectors([FileVectors(tmp_path / "a.npy"), FileVectors(tmp_path / "b.npy")])
    rows, scores = brute_force(questions, passages, 20)
    found = search(questions, stacked, 20)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.scores, scores)
    some = np.arange(150, 260)
    inside = search(questions, SelectedVectors(stacked, some), 20)
    np.testing.assert_array_equal(inside.rows, brute_force(questions, passages[some], 20)[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_vectors_that_cannot_be_compared_are_refused_by_row(bad):
    passages = normal(100, 8)
    passages[37, 3] = bad
    with pytest.raises(DataError, match=r"field 'row'.*\(got 37\)"):
        search(normal(2, 8), ArrayVectors(passages), 5)
    with pytest.raises(DataError, match=r"field 'question'.*\(got 37\)"):
        search(passages, ArrayVectors(normal(10, 8)), 5)


class CountedVectors(ArrayVectors):
    """Counts the rows that are read in blocks."""

    counted = 0

    def read(self, start, stop, out=None):
        self.counted += stop - start
        return super().read(start, stop, out)


@pytest.mark.parametrize(("make", "passes"), [(normal, 1), (outliers, 1), (nearly_equal, 3), (few_distinct, 3)])
def test_the_corpus_is_read_again_only_for_questions_that_too_many_passages_nearly_answer(make, passes):
    passages, questions = CountedVectors(make(30_000, 24)), normal(9, 24, seed=9)
    found = search(questions, passages, 50, product="bf16")
    assert passages.counted == passes * 30_000
    np.testing.assert_array_equal(found.rows, brute_force(questions, passages.array, 50)[0])


@pytest.mark.parametrize("questions", [9, 80])
@pytest.mark.parametrize("k", [255, 256, 300, 1000, 2048, 3000, 5000, 17_000])
def test_one_pass_is_enough_whatever_k(k, questions):
    passages, asked = CountedVectors(normal(40_000, 24)), normal(questions, 24, seed=9)
    found = search(asked, passages, k, product="bf16" if questions > 9 else "float32")
    assert passages.counted == 40_000
    np.testing.assert_array_equal(found.rows, brute_force(asked, passages.array, k)[0])


class SlowVectors(CountedVectors):
    """Blocks behind the first row take a fifth of a second, so that the first one is through before the others."""

    def read(self, start, stop, out=None):
        time.sleep(0.2 if start > 0 else 0)
        return super().read(start, stop, out)


def test_after_a_bad_vector_no_thread_reads_on():
    passages = normal(400_000, 8)
    passages[7] = np.nan
    slow = SlowVectors(passages)
    try:
        torch.set_num_threads(2)
        with pytest.raises(DataError, match="7"):
            search(normal(3, 8), slow, 5)
    finally:
        torch.set_num_threads(1)
    assert slow.counted < 400_000
