"""Exact scores: for the pairs of question and passage that faster products cannot tell apart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from fidtools.data.top_k import TopK
from fidtools.search.products import check_finite
from fidtools.search.vectors import Vectors, vector_blocks
from fidtools.typing import Array

PAIRS_PER_STEP = 128  # so that their products fit into the processor's cache
PAIRS_PER_TASK = 8192  # scored by one thread at once
BRUTE_FORCE_ROWS = 1024  # passages in a block
FLOAT64_BYTES = 8


def exact_scores(questions: Array, passages: Array, question: Array, passage: Array) -> Array:
    """Inner products of pairs (two arrays of line numbers): float64 sums, rounded to float32.

    `questions` (m × d) is float64 so that it is not converted for each pair; `passages` (n × d) is as stored. Products
    are summed per pair and not by a matrix product, whose order of summation would depend on the shapes.
    """
    found = np.empty(len(question), np.float32)
    for start in range(0, len(question), PAIRS_PER_STEP):
        some = slice(start, start + PAIRS_PER_STEP)
        products = questions[question[some]]
        products *= passages[passage[some]]
        found[some] = products.sum(1)
    return found


def rescore(questions: Tensor, vectors: Vectors, pairs: tuple[Tensor, Tensor], k: int, memory: int) -> TopK:
    """The best `k` by exact score of each question's candidates; `pairs` lists questions (ascending) and rows.

    A question with fewer than `k` candidates has row −1 in the remaining places. `memory` is in bytes.
    """
    asked = questions.cpu().numpy().astype(np.float64)
    question, row = (part.cpu().numpy() for part in pairs)
    exact = np.empty(len(row), np.float32)
    order = np.argsort(row, kind="stable")  # the file is read once, forward
    threads = torch.get_num_threads()
    step = max(1, min(PAIRS_PER_TASK, memory // (16 * asked.shape[1] * FLOAT64_BYTES * threads)))

    def score(start: int) -> None:
        some = order[start : start + step]
        needed, place = np.unique(row[some], return_inverse=True)
        exact[some] = exact_scores(asked, vectors.take(needed), question[some], place)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(score, range(0, len(order), step)))
    return _top_k_of_pairs(question, row, exact, len(asked), k)


def _top_k_of_pairs(question: Array, row: Array, score: Array, questions: int, k: int) -> TopK:
    """The best `k` pairs of each question, by descending score and ascending row."""
    order = np.lexsort((row, -score, question))
    begins = np.searchsorted(question, np.arange(questions + 1))
    place = np.arange(len(order)) - np.repeat(begins[:-1], np.diff(begins))  # rank within the question
    order, place = order[place < k], place[place < k]
    rows = np.full((questions, k), -1, np.int64)
    scores = np.full((questions, k), -np.inf, np.float32)
    rows[question[order], place], scores[question[order], place] = row[order], score[order]
    return TopK(rows, scores)


def brute_force(questions: Tensor, vectors: Vectors, k: int) -> TopK:
    """The best `k` by every passage's exact score for each question (m × d), in blocks.

    Raises DataError naming the row for a vector that is not finite.
    """
    asked = questions.cpu().numpy().astype(np.float64)
    found = TopK.empty(len(asked), 0)
    for start, stored in vector_blocks(vectors, BRUTE_FORCE_ROWS):
        check_finite(torch.linalg.vector_norm(torch.from_numpy(stored).float(), dim=1), "row", start)
        question, passage = (part.ravel() for part in np.indices((len(asked), len(stored))))
        scores = exact_scores(asked, stored, question, passage).reshape(len(asked), -1)
        rows = np.broadcast_to(np.arange(start, start + len(stored)), scores.shape)
        found = TopK.merge([found, TopK(rows, scores)], k)
    return found
