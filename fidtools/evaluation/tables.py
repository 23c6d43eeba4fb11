"""Scores as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from fidtools.evaluation.agreement import LOWER_IS_BETTER
from fidtools.evaluation.scores import Metric
from fidtools.evaluation.significance import LEVEL
from fidtools.evaluation.system import System


def rich_tables(systems: Sequence[System]) -> Iterator[Table]:
    """One file: a row per metric with its interval and method. Several: a row per file, the best in bold."""
    if len(systems) == 1 and not systems[0].groups:
        yield _single(systems[0])
    else:
        yield _side_by_side(systems)


def _single(system: System) -> Table:
    table = Table("metric", title=system.name, title_justify="left")
    table.add_column("value", justify="right")
    table.add_column(f"{LEVEL:.0%} interval", justify="right")
    table.add_column("n", justify="right")
    table.add_column("computed by", style="dim")
    for name, metric in system.overall.items():
        ends = "" if metric.interval is None else " – ".join(_number(end, metric.unit) for end in metric.interval)
        table.add_row(name, _value(metric), ends, f"{metric.n:,}", metric.by)
    return table


def _side_by_side(systems: Sequence[System]) -> Table:
    names = list(dict.fromkeys(name for system in systems for name in system.overall))
    grouped = any(system.groups for system in systems)
    table = Table()
    table.add_column("file", overflow="fold")
    if grouped:
        table.add_column("group")
    for name in (*names, "n"):
        table.add_column(name, justify="right")
    for system, shown in zip(systems, _short_names(systems), strict=True):
        for group, metrics in system.parts():
            labels = [shown if not group else "", *([group] if grouped else [])]
            table.add_row(*labels, *_cells(names, metrics, group, systems))
    return table


def _cells(names: Sequence[str], metrics: dict[str, Metric], group: str, systems: Sequence[System]) -> list[str]:
    """The values of one file in one group, the best of all files in bold, and n."""
    rivals = [dict(other.parts()).get(group, {}) for other in systems]
    n = max((metric.n for metric in metrics.values()), default=0)
    return [*(_best(name, metrics.get(name), rivals) for name in names), f"{n:,}"]


def _short_names(systems: Sequence[System]) -> list[str]:
    """The files' names without the folders they have in common."""
    parts = [Path(system.name).parts for system in systems]
    shared = 0
    while all(len(p) > shared + 1 for p in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    return [str(Path(*p[shared:])) for p in parts]


def _best(name: str, metric: Metric | None, rivals: Sequence[dict[str, Metric]]) -> str:
    """The value, bold when no other file's is better (in the same group)."""
    if metric is None:
        return "–"
    values = [metrics[name].value for metrics in rivals if name in metrics]
    best = min if name.startswith(LOWER_IS_BETTER) else max
    return f"[bold]{_value(metric)}[/]" if len(values) > 1 and metric.value == best(values) else _value(metric)


def _value(metric: Metric) -> str:
    return _number(metric.value, metric.unit) + ("%" if metric.unit == "%" else "")


def _number(value: float, unit: str) -> str:
    """Two decimals for shares, four for trec_eval's measures, one for counts."""
    return f"{value:.2f}" if unit == "%" else f"{value:.1f}" if unit else f"{value:.4f}"
