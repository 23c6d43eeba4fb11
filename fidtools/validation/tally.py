"""Counts of what was found in a file, with the lines of the first examples."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fidtools.data.corpus_rows import text_hash

EXAMPLES = 5


@dataclass
class Finding:
    """One kind of problem: how many records of how many have it, and the first of them."""

    what: str
    count: int = 0
    of: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, line: int, **example: Any) -> None:
        """Count a record that has the problem."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append({"line": line, **example})


class Repeats:
    """Finds equal texts by 64-bit hashes: 16 bytes of memory per text, and as much again at the end."""

    def __init__(self) -> None:
        self._hashes, self._lines = array("Q"), array("Q")

    def add(self, line: int, text: str) -> None:
        """Note a text."""
        self._hashes.append(text_hash(text))
        self._lines.append(line)

    def __len__(self) -> int:
        return len(self._hashes)

    def found(self) -> Iterator[tuple[int, int]]:
        """Line of a repetition, and line of the text's first occurrence, in the order of the repetitions."""
        hashes, lines = np.frombuffer(self._hashes, np.uint64), np.frombuffer(self._lines, np.uint64)
        if not len(hashes):
            return
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        first = order[np.repeat(starts, np.diff([*starts, len(order)]))]
        again = order != first
        for row, other in sorted(zip(order[again].tolist(), first[again].tolist(), strict=True)):
            yield int(lines[row]), int(lines[other])


def repeats(what: str, texts: Repeats) -> Finding:
    """The finding of texts that occur more than once; the first occurrence does not count."""
    finding = Finding(what, of=len(texts))
    for line, first in texts.found():
        finding.add(line, same_as_line=first)
    return finding
