"""Exact scores: for the pairs of question and passage that a search could not tell apart by faster products."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from fidtools.search.products import check_finite
from fidtools.search.ranked import Ranked, merged
from fidtools.search.vectors import Vectors, blocks
from fidtools.typing import Array

CACHED = 128  # pairs whose products fit into the processor's cache
RESCORED = 8192  # pairs scored by one thread at once
BRUTE_BLOCK = 1024
DOUBLE = 8


def exact_scores(questions: Array, passages: Array, question: Array, passage: Array) -> Array:
    """Inner products of pairs (two lists of line numbers): float64 sums, rounded to float32.

    `questions` (m × d) is float64 so that it is not widened for each pair; `passages` (n × d) is as stored.
    """
    found = np.empty(len(question), np.float32)
    for start in range(0, len(question), CACHED):
        some = slice(start, start + CACHED)
        products = questions[question[some]]
        products *= passages[passage[some]]
        found[some] = products.sum(1)
    return found


def rescored(questions: Tensor, vectors: Vectors, pairs: tuple[Tensor, Tensor], k: int, memory: int) -> Ranked:
    """The best `k` by exact score of each question's candidates; `pairs` lists questions (rising) and rows.

    A question with fewer than `k` candidates has row −1 in the rest.
    """
    asked = questions.cpu().numpy().astype(np.float64)
    question, row = (part.cpu().numpy() for part in pairs)
    exact = np.empty(len(row), np.float32)
    order = np.argsort(row, kind="stable")  # the file is read once, forward
    threads = torch.get_num_threads()
    step = max(1, min(RESCORED, memory // (16 * asked.shape[1] * DOUBLE * threads)))

    def score(start: int) -> None:
        some = order[start : start + step]
        needed, place = np.unique(row[some], return_inverse=True)
        exact[some] = exact_scores(asked, vectors.take(needed), question[some], place)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(score, range(0, len(order), step)))
    return _first(question, row, exact, len(asked), k)


def _first(question: Array, row: Array, score: Array, questions: int, k: int) -> Ranked:
    """The first `k` pairs of each question, by falling score and rising row."""
    order = np.lexsort((row, -score, question))
    begins = np.searchsorted(question, np.arange(questions + 1))
    place = np.arange(len(order)) - np.repeat(begins[:-1], np.diff(begins))
    order, place = order[place < k], place[place < k]
    rows = np.full((questions, k), -1, np.int64)
    scores = np.full((questions, k), -np.inf, np.float32)
    rows[question[order], place], scores[question[order], place] = row[order], score[order]
    return Ranked(rows, scores)


def brute_force(questions: Tensor, vectors: Vectors, k: int) -> Ranked:
    """Every passage's exact score for each question (m × d), by blocks.

    Raises DataError naming the row for a vector that is not finite.
    """
    asked = questions.cpu().numpy().astype(np.float64)
    found = Ranked(np.empty((len(asked), 0), np.int64), np.empty((len(asked), 0), np.float32))
    for start, stored in blocks(vectors, BRUTE_BLOCK):
        check_finite(torch.linalg.vector_norm(torch.from_numpy(stored).float(), dim=1), "row", start)
        question, passage = (part.ravel() for part in np.indices((len(asked), len(stored))))
        scores = exact_scores(asked, stored, question, passage).reshape(len(asked), -1)
        rows = np.broadcast_to(np.arange(start, start + len(stored)), scores.shape)
        found = merged([found, Ranked(rows, scores)], k)
    return found
