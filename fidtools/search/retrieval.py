"""Rank passages for questions by the vectors of a retriever."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from fidtools.compute.ranks import gather, ranks
from fidtools.data.batched import batched
from fidtools.data.corpus import Corpus
from fidtools.data.ranking import batches, document_of
from fidtools.data.records import Passage, Question
from fidtools.data.top_k import TopK
from fidtools.logs import log
from fidtools.search.backends import SearchIndex
from fidtools.typing import Array

Encode = Callable[[Sequence[str]], Array]
"""Vectors (n × d) of the texts of questions."""
QuestionEncode = Callable[[Sequence[Question]], Array]
BATCH_QUESTIONS = 16384  # encoded and searched together: all vectors are read once for each batch


def by_text(encode: Encode) -> QuestionEncode:
    """Encodes questions by their texts alone."""
    return lambda questions: encode([question.question for question in questions])


def retrieve(
    questions: Iterable[Question],
    encode: QuestionEncode,
    corpus: SearchIndex,
    k: int,
    *,
    within: bool = False,
    normalized: bool = False,
) -> Iterator[Question]:
    """Each question with its `k` best passages as `ctxs`; one batch is in memory at a time.

    The score, under the name `dense`, is the one that training compares with a teacher's: E(q)ᵀE(p)/√d (paper, section
    3.3), and √d · cos(q, p) of `normalized` vectors (docs/decisions/0011). `within` searches only the passages of the
    question's document; raises DataError for a question whose `doc_id` is missing or names no passage. Warns of vectors
    of zeros, which rank nothing, and of questions for which an index finds fewer passages than there are. Under
    `torchrun` the ranks share the work, and rank 0 alone yields.
    """
    zeros = short = 0
    wanted = 0 if within else min(k, len(corpus.passages))
    for batch, asked in _encoded(questions, encode):
        zeros += len(asked) - int(asked.any(axis=1).sum())
        if within:
            found = corpus.search_within(asked, [document_of(question, corpus.passages) for question in batch], k)
        else:
            together = corpus.search(asked, k)
            found = [together.question(number) for number in range(len(batch))]
        if ranks().is_main:
            for question, ranked in zip(batch, found, strict=True):
                question.ctxs = list(_scored(corpus.passages, ranked, corpus.dim, normalized))
                short += len(question.ctxs) < wanted
                yield question
    if zeros and ranks().is_main:
        log.warning(
            "questions with a vector of zeros, whose passages all score 0, in the order of the corpus: %d", zeros
        )
    if short:
        hint = "search more of the index, such as --index-parameters nprobe=64, or give a smaller -k"
        log.warning("questions for which the index found fewer than %d passages: %d\n  %s", wanted, short, hint)


def _encoded(questions: Iterable[Question], encode: QuestionEncode) -> Iterator[tuple[list[Question], Array]]:
    """Batches with their vectors (m × d), on every rank; the ranks take turns to encode a batch."""
    me = ranks()
    for group in batched(batches(questions, BATCH_QUESTIONS), me.world):
        mine = encode(group[me.rank]) if me.rank < len(group) else None
        yield from zip(group, (vectors for vectors in gather(mine) if vectors is not None), strict=True)


def _scored(passages: Corpus, ranked: TopK, dim: int, normalized: bool) -> Iterator[Passage]:
    root = dim**0.5
    for row, score in zip(ranked.rows[0].tolist(), ranked.scores[0].tolist(), strict=True):
        if row >= 0:  # −1: an index may find fewer than k
            passage = passages[row]
            passage.set_score("dense", score * root if normalized else score / root)
            yield passage
