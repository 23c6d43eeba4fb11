"""Paired tests as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, stdev

from rich.table import Table
from rich.text import Text

from fidtools.evaluation.grid import Grid, fitted
from fidtools.evaluation.paired import Result
from fidtools.evaluation.significance import LEVEL, p_value
from fidtools.evaluation.system_names import distinct_names

HEADS = ["A", "B", "B − A", f"{LEVEL:.0%} interval", "p", "won / lost / tied"]
SIGNIFICANT = 0.05


def comparison_tables(results: Sequence[Result], resamples: int, width: int) -> Iterator[Table]:
    """A row per metric and pair of systems; significant differences are bold."""
    systems = list(dict.fromkeys(name for result in results for name in (result.a, result.b)))
    names = _names(systems)
    labels = [(f"{names[result.b]} against {names[result.a]}", result.metric) for result in results]
    rows = [_row(result, resamples) for result in results]
    yield from fitted(Grid(("B against A", "metric"), labels, HEADS, rows), width)


def _names(systems: Sequence[str]) -> Mapping[str, str]:
    """Short names: of all files together, so that they differ where the paths do. Runs are separated by commas."""
    files = [system.split(",") for system in systems]
    short = iter(distinct_names([file for several in files for file in several]))
    return {system: ",".join(next(short) for _ in several) for system, several in zip(systems, files, strict=True)}


def _row(result: Result, resamples: int) -> list[Text]:
    test = result.comparison
    digits = 2 if result.unit else 4
    interval = f"{test.interval[0]:.{digits}f} – {test.interval[1]:.{digits}f}"
    style = "bold" if test.p_randomisation < SIGNIFICANT else ""
    means = [_mean(values, digits) for values in (result.a_means, result.b_means)]
    counts = f"{test.wins} / {test.losses} / {test.ties}"
    p = shown_p(test.p_randomisation, 1 / (resamples + 1))
    difference = Text(f"{test.difference:+.{digits}f}", style=style)
    return [*map(Text, means), difference, *map(Text, (interval, p, counts))]


def shown_p(p: float, floor: float) -> str:
    """A p-value; at the `floor`, the smallest that so many samples can give, the true one may be smaller."""
    return f"≤ {p_value(p)}" if p <= floor * (1 + 1e-9) else p_value(p)


def _mean(values: Sequence[float], digits: int) -> str:
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}"
