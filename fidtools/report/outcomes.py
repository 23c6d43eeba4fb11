"""What became of each question between two systems, and whether its passages or its reader are the reason.

A question is won when system B's value of the headline metric is higher than A's, lost when it is lower. Where the
metric judges answers, the cause is told from the first passage with an answer: is it among those that the reader of the
worse system reads, only among those of the better one's, or of neither's?
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
    PASSAGES: "passages",  # only the better system reads a passage with an answer
    READER: "reader",  # the worse system reads one, and says something else
    GUESS: "guess",  # neither does
}
"""A lost question's code is its cause in upper case, a won one's in lower case."""

RECALL = re.compile(r"((?:gold-)?R@)(\d+)")
Ranks = Sequence[int | None]


@dataclass(frozen=True)
class Judged:
    """A system in the headline metric: values (NaN: unmeasured), ranks of first answers, passages its reader reads."""

    values: NDArray[np.float64]
    ranks: Ranks
    n_read: int | None

    def reads_answer(self, row: int) -> bool:
        """Whether an answer stands in the passages that are read of a question."""
        rank = self.ranks[row]
        return rank is not None and (self.n_read is None or rank <= self.n_read)


def judged(system: System, metric: str) -> Judged:
    """A system in one metric; in R@k it is the first k passages that count as read."""
    values = system.scores.values[metric]
    if cutoff := RECALL.fullmatch(metric):
        return Judged(values, system.ranks(cutoff[1]), int(cutoff[2]))
    return Judged(values, system.ranks(), n_context(system.source.folder))


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
    cause = READER if worse.reads_answer(row) else PASSAGES if better.reads_answer(row) else GUESS
    return cause if after < before else cause.lower()


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
