"""Conditions that turn a report into a test: `R@20<80` fails when the last system's R@20 is below 80."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from fidtools.errors import UsageError
from fidtools.logs import log

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
CONDITION = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=|<|>)\s*([-+]?\d+(?:\.\d+)?)\s*")


@dataclass(frozen=True)
class Condition:
    """The report fails when `metric` `comparison` `bound` holds."""

    metric: str
    comparison: str
    bound: float

    def failure(self, values: Mapping[str, float], system: str) -> str | None:
        """What failed, in a sentence; None where nothing did. Raises UsageError for a metric that was not measured."""
        if self.metric not in values:
            raise UsageError(
                f"--fail-if {self}: {self.metric} was not measured", hint=f"measured were {', '.join(values)}"[:300]
            )
        if not OPERATORS[self.comparison](values[self.metric], self.bound):
            return None
        return f"{self.metric} of {system} is {values[self.metric]:.2f}: {self}"

    def __str__(self) -> str:
        return f"{self.metric}{self.comparison}{self.bound:g}"


def parse_condition(text: str) -> Condition:
    """The condition of METRIC<NUMBER (or <=, >, >=). Raises UsageError."""
    match = CONDITION.fullmatch(text)
    if match is None:
        raise UsageError(f"--fail-if {text}: expected METRIC<NUMBER (or <=, >, >=), as in 'R@20<80'")
    return Condition(match[1], match[2], float(match[3]))


def failures(conditions: Sequence[Condition], values: Mapping[str, float], system: str) -> list[str]:
    """What failed of several conditions."""
    found = (condition.failure(values, system) for condition in conditions)
    return [failure for failure in found if failure]


def warn_of_fractions(conditions: Sequence[Condition], percentages: Collection[str]) -> None:
    """Warn where a metric in percent is compared with a number below 1, which may be meant as a share."""
    for condition in conditions:
        if condition.metric in percentages and 0 < abs(condition.bound) < 1:
            log.warning(
                "--fail-if %s: %s is in percent, so that is %g %%", condition, condition.metric, condition.bound
            )
