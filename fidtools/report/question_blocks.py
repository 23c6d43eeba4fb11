"""The questions of a report as blocks: an index of all, the passages of the most telling, each text once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fidtools.data.words import set_apart
from fidtools.metrics.answer_match import tokens
from fidtools.report.blocks import Block, pack
from fidtools.report.outcomes import BOTH, NEITHER, UNMEASURED, Judged, interest_order
from fidtools.report.reasons import reason
from fidtools.report.systems import Row, Shown, System, Texts

QUESTIONS_PER_BLOCK = 50
TEXT_PER_BLOCK = 1 << 18
BUDGET = 16_000_000
"""Bytes of blocks inside one page, which shall stay below 20 MB."""
ANSWER, GOLD = 1, 2


@dataclass
class Shelf:
    """Blocks as they fill: passages' texts are numbered anew in the order in which questions need them."""

    texts: Texts
    blocks: list[Block] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    size: int = 0
    _numbers: dict[int, int] = field(default_factory=dict)
    _waiting: list[tuple[str, str, str]] = field(default_factory=list)
    _length: int = 0

    def add(self, kind: str, value: Any) -> None:
        """Keep a value as the next block of its kind."""
        count = sum(block.name.startswith(kind) for block in self.blocks)
        self.blocks.append(pack(f"{kind}{count}", value))
        self.size += self.blocks[-1].size

    def place(self, number: int) -> int:
        """The new number of a text."""
        if number not in self._numbers:
            self._numbers[number] = len(self._numbers)
            entry = self.texts.entries[number]
            self._waiting.append(entry)
            self._length += len(entry[1]) + len(entry[2])
            if self._length > TEXT_PER_BLOCK:
                self.flush()
        return self._numbers[number]

    def flush(self) -> None:
        """Write the texts that wait."""
        if self._waiting:
            self.starts.append(len(self._numbers) - len(self._waiting))
            self.add("t", self._waiting)
        self._waiting, self._length = [], 0


def question_blocks(
    systems: Sequence[System],
    texts: Texts,
    views: Sequence[Judged],
    outcomes: dict[tuple[int, int], str],
    metric: str,
    budget: float = BUDGET,
) -> list[Block]:
    """The blocks of a report: "i0", the index of all questions, "q…", their passages, and "t…", the texts of those.

    Passages are kept of as many questions as the budget allows, from the most telling on.
    """
    shelf = Shelf(texts)
    count = len(systems[0].rows)
    where = [-1] * count
    order = interest_order(list(outcomes.values())) or list(range(count))
    for number, start in enumerate(range(0, count, QUESTIONS_PER_BLOCK)):
        rows = order[start : start + QUESTIONS_PER_BLOCK]
        details = {str(row): _detail([system.rows[row] for system in systems], shelf) for row in rows}
        shelf.add(
            "q", {row: detail | {"reasons": _reasons(outcomes, views, int(row))} for row, detail in details.items()}
        )
        for row in rows:
            where[row] = number
        if shelf.size > budget:
            break
    shelf.flush()
    return [pack("i0", _index(systems, outcomes, metric, where, shelf.starts)), *shelf.blocks]


def _index(
    systems: Sequence[System],
    outcomes: dict[tuple[int, int], str],
    metric: str,
    where: Sequence[int],
    starts: Sequence[int],
) -> dict[str, Any]:
    rows = systems[0].rows
    return {
        "ids": [row.id for row in rows],
        "questions": [row.question for row in rows],
        "answers": [row.answers for row in rows],
        "systems": [_columns(system, metric) for system in systems],
        "outcomes": {f"{a}-{b}": codes for (a, b), codes in outcomes.items()},
        "where": where,
        "text_starts": starts,
    }


def _columns(system: System, metric: str) -> dict[str, Any]:
    values = system.scores.values[metric]
    return {
        "predictions": [row.prediction for row in system.rows],
        "probabilities": [None if p is None else round(float(np.exp(p)), 4) for p in _log_probabilities(system)],
        "ranks": system.ranks(),
        "gold_ranks": system.ranks("gold-R@"),
        "retrieved": [row.retrieved for row in system.rows],
        "values": [None if np.isnan(value) else round(float(value), 2) for value in values],
    }


def _log_probabilities(system: System) -> Iterator[float | None]:
    return (row.log_probability for row in system.rows)


def _detail(rows: Sequence[Row], shelf: Shelf) -> dict[str, Any]:
    """A question's passages in each system, and the tokens of its answers, which the page marks in the texts."""
    return {
        "words": [found for answer in rows[0].answers if (found := tokens(set_apart(answer)))],
        "systems": [[_passage(shown, shelf) for shown in row.passages] for row in rows],
    }


def _reasons(outcomes: dict[tuple[int, int], str], views: Sequence[Judged], row: int) -> dict[str, str]:
    """Why a question was lost or won, by "a-b" and, seen from the later system, "b-a"."""
    found = {}
    for (a, b), codes in outcomes.items():
        if (code := codes[row]) not in (BOTH, NEITHER, UNMEASURED):
            found[f"{a}-{b}"] = reason(code, views[a], views[b], row)
            found[f"{b}-{a}"] = reason(code.swapcase(), views[b], views[a], row)
    return found


def _passage(shown: Shown, shelf: Shelf) -> list[Any]:
    """[text, flags, scores]; five digits of a score are more than anybody compares."""
    scores = {name: float(f"{value:.5g}") for name, value in shown.scores.items()}
    return [shelf.place(shown.text), ANSWER * shown.answer + GOLD * shown.gold, scores]
