"""Metric families: what a metric is called, what it needs, and how it is built. Each module lists its own in `METRICS`;
`registry` collects them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fidtools.data.number_text import is_count
from fidtools.evaluation.gold import Gold
from fidtools.evaluation.measure import Measure
from fidtools.evaluation.profiles import DEFAULT, PROFILES, Profile

CUTOFF = "@k"


@dataclass(frozen=True)
class MetricSettings:
    """How metrics are computed."""

    profile_name: str = DEFAULT
    gold: Gold = field(default_factory=Gold)
    match: Literal["tokens", "regex"] = "tokens"
    empty_matches: bool = False

    @property
    def profile(self) -> Profile:
        """The profile of that name."""
        return PROFILES[self.profile_name]


@dataclass(frozen=True)
class MetricFamily:
    """Metrics that one `Measure` computes together.

    `names` end in "@k" for metrics with a cut-off. `needs` are the fields of the questions that must be present,
    `options` the command's options that change the numbers, `extra` the optional dependency. `build` makes the measure
    for the names asked for.
    """

    names: tuple[str, ...]
    description: str
    needs: str
    unit: str
    build: Callable[[MetricSettings, Sequence[str]], Measure]
    options: tuple[str, ...] = ()
    extra: str | None = None

    def has(self, name: str) -> bool:
        """Whether `name` (R@5, with the cut-off as a number) belongs to this family."""
        return any(name == known or _is_cutoff_of(name, known) for known in self.names)


def _is_cutoff_of(name: str, known: str) -> bool:
    prefix, at, k = name.rpartition("@")
    return known == prefix + CUTOFF and bool(at) and is_count(k) and not k.startswith("0")


def cutoffs(names: Sequence[str]) -> list[int]:
    """The cut-offs of names such as R@5, ascending."""
    return sorted({int(name.rpartition("@")[2]) for name in names})
