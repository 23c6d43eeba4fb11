"""The scores of one file, averaged over all questions and over every group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fidtools.data.jsonl import encodable
from fidtools.errors import DataError
from fidtools.evaluation.measure import NO_ANSWERS
from fidtools.evaluation.scores import Metric, Scores


@dataclass
class System:
    """The scores and metrics of one file: of all questions and of every group."""

    name: str
    format: str
    scores: Scores
    overall: dict[str, Metric]
    groups: dict[str, dict[str, Metric]]

    @classmethod
    def of(cls, name: str, format_name: str, scores: Scores, *, every: bool = False) -> System:
        """Average `scores`; groups in the order of their names. See `explain` for `every`.

        Raises DataError when nothing could be measured, with the reasons.
        """
        explain(scores, name, every=every)
        named = sorted(set(scores.groups) - {""})
        groups = {group: scores.metrics(group) for group in named}
        return cls(encodable(name), format_name, scores, scores.metrics(), groups)

    def parts(self) -> Iterator[tuple[str, dict[str, Metric]]]:
        """All questions under the name "", then every group."""
        yield "", self.overall
        yield from self.groups.items()


def explain(scores: Scores, name: str, *, every: bool) -> None:
    """Note which metrics were suppressed, and with `every` why any was not computed.

    Raises DataError with the reasons when none was.
    """
    if not scores.values:
        reasons = list(dict.fromkeys(scores.not_computed.values()))
        if any(NO_ANSWERS.reason in reason for reason in reasons):  # as in every run of ids alone
            reasons.append("--questions FILE adds answers by id, --passages CORPUS texts, --qrels FILE judgements")
        raise DataError("no metric can be computed", path=name, hint="; ".join(reasons))
    if every:
        scores.notes += [f"no {metric}: {reason}" for metric, reason in scores.not_computed.items()]
    else:
        for reason in dict.fromkeys(scores.suppressed.values()):
            names = [metric for metric, given in scores.suppressed.items() if given == reason]
            scores.notes.append(f"{reason}: left out {', '.join(names)}")
