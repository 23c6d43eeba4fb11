"""What a metric implementation is: it measures questions in batches and summarizes after the last one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fidtools.data.records import Question
from fidtools.typing import Floats


@dataclass(frozen=True)
class Unmeasured:
    """Why a question has no value. `zero`: the system should have given one, so it counts as 0 where others count."""

    reason: str
    zero: bool = False


Values = dict[str, float] | Unmeasured
NO_ANSWERS = Unmeasured("have no answers")
NO_USABLE_ANSWER = Unmeasured("have no usable answer (empty, or without a letter, digit or sign)")
NO_PASSAGES = Unmeasured("have no passages", zero=True)
NO_TEXT = Unmeasured("have passages without text (give the corpus with --passages)")
NO_GOLD = Unmeasured("have no gold passage ids")
NO_IDS = Unmeasured("have passages without ids")
NO_PREDICTION = Unmeasured("have no prediction", zero=True)


@dataclass(frozen=True)
class Pooled:
    """A metric of all questions together, such as BLEU.

    `statistics` are per question, (questions, s); `value` computes the metric from summed statistics, (rows, s) ->
    (rows,). In a `Summary`, the measured questions come first, then those that count as 0, each in input order.
    """

    statistics: Floats
    value: Callable[[Floats], Floats]


@dataclass(frozen=True)
class Summary:
    """What is known only after the last question.

    `suppressed`: metrics that are meaningless on these questions, with the reason. `pooled`: metrics that are not means
    over questions. `zeros`: metrics of which measured questions without a value count as 0. `notes`: messages for the
    user.
    """

    suppressed: dict[str, str] = field(default_factory=dict)
    pooled: dict[str, Pooled] = field(default_factory=dict)
    zeros: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)


class Measure(Protocol):
    """One or several metrics that are computed together."""

    @property
    def names(self) -> Sequence[str]:
        """The metrics' names."""

    @property
    def method(self) -> str:
        """How they are computed, in words: the normalizer, the implementation."""

    @property
    def unit(self) -> str:
        """ "%" for shares, given as 0 to 100, or what is counted."""

    def measure(self, questions: Sequence[Question]) -> list[Values]:
        """For every question a value for each of `names`, or why there is none."""

    def finalize(self) -> Summary:
        """The summary, after the last question."""
