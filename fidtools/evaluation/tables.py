"""Scores as tables on a terminal."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from fidtools.console import literal
from fidtools.evaluation.agreement import LOWER_IS_BETTER
from fidtools.evaluation.comparable import incomparable
from fidtools.evaluation.grid import Grid, fitted
from fidtools.evaluation.scores import Metric
from fidtools.evaluation.significance import LEVEL
from fidtools.evaluation.system import System
from fidtools.evaluation.system_names import distinct_names

METHOD_WIDTH = 30  # that the column "computed by" takes at least


def rich_tables(systems: Sequence[System], width: int = 80) -> Iterator[RenderableType]:
    """One file: a row per metric with its interval and method. Several: a row per file, the best in bold."""
    if len(systems) == 1 and not systems[0].groups:
        yield from _single(systems[0], width)
    else:
        yield from fitted(_side_by_side(systems), width)


def _single(system: System, width: int) -> Iterator[RenderableType]:
    metrics = system.overall
    heads = ["value", f"{LEVEL:.0%} interval", "n"]
    cells = [[Text(_value(metric)), Text(_interval(metric)), Text(f"{metric.n:,}")] for metric in metrics.values()]
    grid = Grid(("metric",), [(name,) for name in metrics], heads, cells)
    yield literal(system.name, "italic")
    if not grid.fits(width - METHOD_WIDTH):
        yield from fitted(grid, width)
        yield from (literal(f"{name}: {metric.by}", "dim") for name, metric in metrics.items())
        return
    yield grid.table(("computed by", [metric.by for metric in metrics.values()]))


def _interval(metric: Metric) -> str:
    return "" if metric.interval is None else " – ".join(_number(end, metric.unit) for end in metric.interval)


def _side_by_side(systems: Sequence[System]) -> Grid:
    names = list(dict.fromkeys(name for system in systems for name in system.overall))
    grouped = any(system.groups for system in systems)
    labels, cells = [], []
    no_best = incomparable(systems)
    for system, shown in zip(systems, distinct_names([system.name for system in systems]), strict=True):
        for group, metrics in system.parts():
            labels.append((shown if not group else "", group) if grouped else (shown,))
            cells.append(_cells(names, metrics, group, systems, no_best))
    return Grid(("file", "group") if grouped else ("file",), labels, [*names, "n"], cells)


def _cells(
    names: Sequence[str], metrics: dict[str, Metric], group: str, systems: Sequence[System], no_best: Container[str]
) -> list[Text]:
    """The values of one file in one group, the best of all files in bold where they can be compared, and n."""
    rivals = [dict(other.parts()).get(group, {}) for other in systems]
    n = max((metric.n for metric in metrics.values()), default=0)
    shown = [_best(name, metrics.get(name), [] if name in no_best else rivals) for name in names]
    return [*shown, Text(f"{n:,}")]


def _best(name: str, metric: Metric | None, rivals: Sequence[dict[str, Metric]]) -> Text:
    """The value, bold when no other file's is better (in the same group)."""
    if metric is None:
        return Text("–")
    values = [metrics[name].value for metrics in rivals if name in metrics]
    best = min if name.startswith(LOWER_IS_BETTER) else max
    return Text(_value(metric), style="bold" if len(values) > 1 and metric.value == best(values) else "")


def _value(metric: Metric) -> str:
    return _number(metric.value, metric.unit) + ("%" if metric.unit == "%" else "")


def _number(value: float, unit: str) -> str:
    """Two decimals for shares, four for trec_eval's measures, one for counts."""
    return f"{value:.2f}" if unit == "%" else f"{value:.1f}" if unit else f"{value:.4f}"
