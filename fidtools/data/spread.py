"""Passages drawn across documents, and questions divided by document, by hashes of a seed: alike on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from fidtools.data.corpus import Corpus
from fidtools.data.hashes import seeded_hash
from fidtools.data.records import Passage

SPLITS = ("train", "dev", "test")


def document_name(passage: Passage) -> str:
    """What tells documents apart: `doc_id`, else the title, else the passage is a document of its own."""
    return passage.doc_id or passage.title or str(passage.id)


def spread_rows(corpus: Corpus, seed: int, count: int | None = None) -> list[int]:
    """The rows of `count` passages (of all, with None), in an order in which every document comes up once a round.

    The first rows of a longer draw are those of a shorter one. Reads the corpus once and holds 24 bytes per passage.
    """
    documents = np.empty(len(corpus), np.uint64)
    passages = np.empty(len(corpus), np.uint64)
    for row, passage in enumerate(corpus):
        documents[row] = seeded_hash(seed, document_name(passage))
        passages[row] = seeded_hash(seed, f"passage {passage.id}")
    order = np.lexsort((passages, documents))
    begins = np.flatnonzero(np.r_[True, documents[order][1:] != documents[order][:-1]])
    lengths = np.diff(np.r_[begins, len(order)])
    rounds = np.arange(len(order)) - np.repeat(
        begins, lengths
    )  # of the sorted passages: the how manyth of its document
    drawn = order[np.lexsort((documents[order], rounds))]
    return [int(row) for row in islice(drawn, count)]


def split_by_document(documents: Sequence[str], shares: Sequence[float], seed: int) -> list[str]:
    """For each question, given the name of its document, one of SPLITS; a document's questions stay together.

    Documents, those with most questions first and equal ones in an order drawn by the seed, go to the split that has
    the least of its share of the questions so far.
    """
    sizes: dict[str, int] = {}
    for document in documents:
        sizes[document] = sizes.get(document, 0) + 1
    filled = dict.fromkeys(SPLITS, 0)
    goals = dict(zip(SPLITS, shares, strict=True))
    chosen = {}
    for document in sorted(sizes, key=lambda name: (-sizes[name], seeded_hash(seed, f"split {name}"), name)):
        wanting = [split for split in SPLITS if goals[split] > 0]
        chosen[document] = min(wanting, key=lambda split: filled[split] / goals[split])
        filled[chosen[document]] += sizes[document]
    return [chosen[document] for document in documents]
