"""What became of each question between two systems, and whether its passages or its reader are the reason.

A question is won when system B's value of the headline metric is higher than A's, lost when it is lower. Where the
metric judges answers, the cause follows from the first gold passage (from the first with an answer where the question
has no gold): is it among those that the reader of the worse system reads, only among those of the better one's, or of
neither's? An answer's word alone says little where gold is known: it may stand in a passage about something else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from fidtools.report.systems import System

BOTH, NEITHER, UNMEASURED = "=", ".", "?"
PASSAGES, READER, GUESS = "P", "R", "G"
CAUSES = {
    PASSAGES: "passages",  # only the better system reads the right passage
    READER: "reader",  # the worse system reads it, and answers something else
    GUESS: "guess",  # neither does
}
"""A lost question's code is its cause in upper case, a won one's in lower case."""

RECALL = re.compile(r"((?:gold-)?R@)(\d+)")
Ranks = Sequence[int | None]


@dataclass(frozen=True)
class Judged:
    """A system in the headline metric: values (NaN: unmeasured), ranks of first answers, passages its reader reads.

    `gold_ranks` are those of the first gold passages, `has_gold` which questions have any; empty where gold does not
    count.
    """

    values: NDArray[np.float64]
    ranks: Ranks
    n_read: int | None
    gold_ranks: Ranks = ()
    has_gold: Sequence[bool] = ()
    recall: bool = False

    def reads(self, rank: int | None) -> bool:
        """Whether the passage at a rank is read."""
        return rank is not None and (self.n_read is None or rank <= self.n_read)


@dataclass(frozen=True)
class Evidence:
    """The passage by which an outcome is explained: its rank in both systems; whether it is gold, or has an answer.

    `gold_unread`: the question has gold, and neither system reads it.
    """

    a: int | None
    b: int | None
    gold: bool
    gold_unread: bool = False


def evidence(a: Judged, b: Judged, row: int) -> Evidence:
    """The gold passage where the question has one and either system reads it, else the first with an answer."""
    answers = a.ranks[row], b.ranks[row]
    if not (a.has_gold and b.has_gold and a.has_gold[row] and b.has_gold[row]):
        return Evidence(*answers, gold=False)
    gold = a.gold_ranks[row], b.gold_ranks[row]
    if a.reads(gold[0]) or b.reads(gold[1]):
        return Evidence(*gold, gold=True)
    return Evidence(*answers, gold=False, gold_unread=True)


def judged(system: System, metric: str) -> Judged:
    """A system in one metric; in R@k it is the first k passages that count as read."""
    values = system.scores.values[metric]
    if cutoff := RECALL.fullmatch(metric):
        return Judged(values, system.ranks(cutoff[1]), int(cutoff[2]), recall=True)
    return Judged(values, system.ranks(), n_context(system.source.folder), system.ranks("gold-R@"), system.has_gold())


def n_context(folder: Path | None) -> int | None:
    """How many passages the reader of an iteration reads; None where that is not known."""
    path = None if folder is None else folder / "reader" / "fidtools.json"
    if path is None or not path.is_file():
        return None
    try:
        count = orjson.loads(path.read_bytes())["reader"]["n_context"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return count if isinstance(count, int) else None


def outcome_codes(a: Judged, b: Judged) -> str:
    """One character per question: a cause (upper case: lost, lower: won), `BOTH`, `NEITHER` or `UNMEASURED`."""
    return "".join(_code(a, b, row) for row in range(len(a.values)))


def _code(a: Judged, b: Judged, row: int) -> str:
    before, after = a.values[row], b.values[row]
    if np.isnan(before) or np.isnan(after):
        return UNMEASURED
    if before == after:
        return BOTH if after > 0 else NEITHER
    worse, better = (b, a) if after < before else (a, b)
    cause = _cause(worse, better, evidence(worse, better, row))
    return cause if after < before else cause.lower()


def _cause(worse: Judged, better: Judged, passage: Evidence) -> str:
    if worse.reads(passage.a):
        # Of a question with gold, the reader is to blame only where it reads the gold passage.
        return GUESS if passage.gold_unread else READER
    return PASSAGES if better.reads(passage.b) else GUESS


def count_outcomes(codes: str) -> dict[str, Any]:
    """How many questions were won, lost, found by both, found by neither; the first two by cause as well."""
    counts = Counter(codes)
    lost = {name: counts[code] for code, name in CAUSES.items()}
    won = {name: counts[code.lower()] for code, name in CAUSES.items()}
    return {
        "won": sum(won.values()),
        "lost": sum(lost.values()),
        "both": counts[BOTH],
        "neither": counts[NEITHER],
        "unmeasured": counts[UNMEASURED],
        "won_by": won,
        "lost_by": lost,
    }


def varied(codes: str, count: int) -> list[int]:
    """At most `count` lost questions, of every cause in turn, the most frequent cause first."""
    rows = [[row for row, code in enumerate(codes) if code == cause] for cause in CAUSES]
    turns = zip_longest(*sorted(rows, key=len, reverse=True))
    return list(islice((row for turn in turns for row in turn if row is not None), count))


def interest_order(codes: Sequence[str]) -> list[int]:
    """Questions from the most to the least telling: lost in any step, won in any, found by none, the others."""

    def place(row: int) -> tuple[int, int]:
        met = {code[row] for code in codes}
        lost, won = met & set(CAUSES), met & {code.lower() for code in CAUSES}
        return (0 if lost else 1 if won else 2 if NEITHER in met else 3), row

    return sorted(range(len(codes[0]) if codes else 0), key=place)
