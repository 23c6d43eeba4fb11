"""By which signs a ranking in plain columns is recognised as ColBERT's or MS MARCO's."""

from __future__ import annotations

from fidtools.formats.detection import columns, is_header, is_number, is_rank, split_columns
from fidtools.formats.head import Head

SCORE_NAMES = frozenset({"score", "sim", "similarity", "relevance", "rel"})


def is_colbert(head: Head) -> bool:
    """Four columns: the third counts the passages of each question, 1, 2, 3 …; the fourth holds numbers with a point.

    In judgements, the second column is the same everywhere. A header that names a rank and a score settles it.
    """
    if not columns(4, lambda row: is_rank(row[2]) and is_number(row[3]))(head):
        return False
    rows = [split_columns(line, 4) for line in head.lines]
    if is_header(rows[0]):
        if [name.lower() for name in rows[0][2:]] == ["rank", "score"]:
            return True
        rows = rows[1:]
    ranks: dict[str, int] = {}
    for question, _, rank, _ in rows:
        ranks[question] = ranks.get(question, 0) + 1
        if int(rank) != ranks[question]:
            return False
    return len({row[1] for row in rows}) > 1 and not any(row[3].isdecimal() for row in rows)


def is_msmarco(head: Head) -> bool:
    """Three columns, the last of which counts the passages of each question: 1, 2, 3 …, each once, in any order.

    Integers that do not are scores, and so are those that a header calls so, or that count down everywhere. The
    question that the head may cut off counts only when it is the only one.
    """
    if not columns(3, lambda row: is_rank(row[2]))(head):
        return False
    ranks: dict[str, list[int]] = {}
    first, *rows = (split_columns(line, 3) for line in head.all_lines)
    if is_header(first) and first[2].lower() in SCORE_NAMES:
        return False
    for row in rows if is_header(first) else [first, *rows]:
        if len(row) != 3 or not is_rank(row[2]):
            return False
        ranks.setdefault(row[0], []).append(int(row[2]))
    if head.is_cut and len(ranks) > 1:
        ranks.popitem()
    several = [found for found in ranks.values() if len(found) > 1]
    if several and not is_header(first) and all(found == sorted(found, reverse=True) for found in several):
        return False
    return all(sorted(found) == list(range(1, len(found) + 1)) for found in ranks.values())
