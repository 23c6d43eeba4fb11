"""Why a question was lost or won, in one sentence."""

from __future__ import annotations

from fidtools.report.outcomes import PASSAGES, READER, Evidence, Judged, evidence

PASSAGE = {True: "The right passage", False: "The first passage with an answer"}


def reason(code: str, a: Judged, b: Judged, row: int) -> str:
    """Why a question was lost (an upper-case code) or won (lower-case) from system A to system B."""
    found = evidence(a, b, row)
    if code.upper() == PASSAGES:
        return _passages(found, a, b, lost=code.isupper())
    if code.upper() == READER:
        return _reader(found, lost=code.isupper())
    what = "the right passage" if found.gold_unread else "a passage with an answer"
    return f"The reader reads {what} neither before nor after: it was a guess."


def _passages(found: Evidence, a: Judged, b: Judged, lost: bool) -> str:
    subject = PASSAGE[found.gold]
    if lost and found.b is None:
        return f"{subject} was at rank {found.a} and is not retrieved any more."
    if not lost and found.a is None:
        return f"{subject} was not retrieved and is at rank {found.b} now."
    read = (b if lost else a).n_read
    limit = f"only the first {read} count" if a.recall else f"the reader reads only the first {read}"
    if found.a == found.b:  # two readers that read different numbers of passages
        return f"{subject} stays at rank {found.a}; {limit}."
    move = "fell" if lost else "rose"
    return f"{subject} {move} from rank {found.a} to rank {found.b}; {limit}."


def _reader(found: Evidence, lost: bool) -> str:
    subject = "The right passage" if found.gold else "An answer"
    earlier = f"rank {found.a}" if found.a else "not retrieved"
    if lost:
        return f"{subject} stands at rank {found.b} (before: {earlier}), but the reader gives another answer."
    now = f"rank {found.b}" if found.b else "not retrieved"
    return f"{subject} stood at {earlier} already (now: {now}), but the reader gave another answer."
