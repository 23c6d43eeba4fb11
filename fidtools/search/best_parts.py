"""Passages ranked by their best parts: from a ranking of parts, such as sentences, to one of their passages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from fidtools.data.corpus import Corpus
from fidtools.data.ranking import without_answers
from fidtools.data.records import PART_OF, Passage, Question
from fidtools.logs import log

BEST_PART = "best-part"  # the name of the score


def collapse(questions: Iterable[Question], passages: Corpus, k: int) -> Iterator[Question]:
    """Each question with the first `k` passages that its list has parts of, in the order of their first parts.

    A part names its passage by `passage_id`, else by `doc_id`, as `chunk` writes them. The score of a passage is that
    of its first part, under the name `best-part` (MaxP: Dai and Callan, 2019); a list without scores has none. Warns of
    questions whose lists have parts of fewer than `k` passages, and not of all passages of their document. Raises
    DataError for a part of none of `passages`.
    """
    wanted, short = min(k, len(passages)), 0
    for question in without_answers(questions):
        first: dict[str | None, Passage] = {}
        for part in question.require_ctxs():
            first.setdefault(_whole_of(part)[1], part)
        rows = [_row_of_whole(part, question, passages) for part in first.values()]
        short += len(rows) < wanted and not _is_document(rows, question, passages)
        found = zip(rows[:k], first.values(), strict=False)
        yield replace(question, ctxs=[_whole(passages[row], part) for row, part in found])
    if short:
        hint = "retrieve more parts (a larger -k), or give a smaller -k here"
        log.warning("questions with parts of fewer than %d passages: %d\n  %s", wanted, short, hint)


def _whole_of(part: Passage) -> tuple[str, str | None]:
    """The field that names the passage that a part is of, and the id in it; None where it has none."""
    named = part.extra.get(PART_OF)
    return ("doc_id", part.doc_id) if named is None else (PART_OF, str(named))


def _row_of_whole(part: Passage, question: Question, passages: Corpus) -> int:
    name, whole = _whole_of(part)
    row = None if whole is None else passages.row_of(whole)
    if row is None:
        problem = f"the passage {part.id} of question {question.id} is no part of a passage of {passages.path}"
        hint = "cut these passages into parts with `fidtools chunk`, and rank the parts"
        raise question.error(problem, f"ctxs.{name}", whole, hint=hint)
    return row


def _is_document(rows: Sequence[int], question: Question, passages: Corpus) -> bool:
    """Whether these are all passages of the question's document, as `--within doc_id` finds them."""
    if question.doc_id is None or not passages.has_doc_ids:
        return False
    return {*rows} == {*passages.rows_within(question.doc_id).tolist()}


def _whole(passage: Passage, part: Passage) -> Passage:
    if part.score is not None:
        passage.set_score(BEST_PART, part.score)
    return passage
