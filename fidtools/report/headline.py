"""What the first lines of a page say beside the step that helped most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fidtools.report.numbers import helped_most, tests_of
from fidtools.report.wording import number, points

MAIN = ("EM", "R@1")
"""The metrics by which a reader would ask what helped: of the answers, and of the ranking."""


def beside_the_headline(numbers: dict[str, Any]) -> list[str]:
    """Sentences: what the last iteration added, which one is the best, which step another metric names."""
    if len(numbers["steps"]) < 2:
        return []
    return [*_last_and_best(numbers), *_otherwise(numbers)]


def _last_and_best(numbers: dict[str, Any]) -> Iterator[str]:
    metric, step = numbers["metric"], numbers["steps"][-1]
    last, best = step[1], _best(numbers)
    (test,) = tests_of(numbers["comparisons"], [step], metric)
    if last != numbers["helped_most"]["to"]:
        unit, value = test["unit"], test["b_means"][0]
        verb = "lost" if test["difference"] < 0 else "added"
        amount = points(abs(test["difference"]), unit)
        shown = amount if verb == "added" else amount.removeprefix("+")
        end = ", the best" if last == best else ""
        yield f"{_name(numbers, last)} {verb} {shown} points of {metric}, to {number(value, unit)}{end}."
    if last != best:
        value = numbers["systems"][best]["metrics"][metric]
        yield f"The best is {numbers['systems'][best]['name']} with {number(value['value'], value['unit'])}."


def _otherwise(numbers: dict[str, Any]) -> Iterator[str]:
    """The step that helped most by another main metric, where it is another one."""
    for metric in MAIN:
        test = helped_most(numbers["comparisons"], numbers["steps"], metric)
        if metric == numbers["metric"] or test is None:
            continue
        if test["difference"] > 0 and test["to"] != numbers["helped_most"]["to"]:
            gain, value = points(test["difference"], test["unit"]), number(test["b_means"][0], test["unit"])
            yield f"By {metric}, {test['b']} helped most: {gain} points, to {value}."


def _best(numbers: dict[str, Any]) -> int:
    """The iteration (or start) with the highest value; the last one of equals."""
    ours = [numbers["steps"][0][0], *(to for _, to in numbers["steps"])]
    best: int = max(ours, key=lambda at: (numbers["systems"][at]["metrics"][numbers["metric"]]["value"], at))
    return best


def _name(numbers: dict[str, Any], at: int) -> str:
    name: str = numbers["systems"][at]["name"]
    return name.replace("iteration", "Iteration", 1) if name.startswith("iteration ") else name
