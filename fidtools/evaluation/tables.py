"""Scores as people and programs read them: a table on a terminal, tab-separated values, a JSON document."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fidtools.data.files import STANDARD, open_output
from fidtools.data.jsonl import write_json
from fidtools.errors import DataError, show_path
from fidtools.evaluation.scores import Metric, Scores
from fidtools.evaluation.significance import LEVEL, RESAMPLES
from fidtools.logs import log

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

LOWER_IS_BETTER = ("inversions", "cover@")
COLUMNS = ("file", "group", "metric", "value", "low", "high", "n", "unit", "by")


@dataclass
class System:
    """One file's scores, with all its metrics: of the whole and of every group."""

    name: str
    format: str
    scores: Scores
    whole: dict[str, Metric]
    groups: dict[str, dict[str, Metric]]

    @classmethod
    def of(cls, name: str, format_name: str, scores: Scores, *, every: bool = False) -> System:
        """Sum up `scores`; groups in order of their names. `every` metric that was not computed is explained.

        Raises DataError when nothing could be measured, with the reasons.
        """
        explain(scores, name, every=every)
        named = sorted(set(scores.groups) - {""})
        groups = {group: scores.metrics(group) for group in named}
        return cls(name, format_name, scores, scores.metrics(), groups)

    def parts(self) -> Iterator[tuple[str, dict[str, Metric]]]:
        """The whole, named "", then every group."""
        yield "", self.whole
        yield from self.groups.items()


def explain(scores: Scores, name: str, *, every: bool) -> None:
    """Note why metrics were not computed: `every` one, or (DataError) when there is none at all."""
    if not scores.values:
        whys = dict.fromkeys(scores.not_computed.values())
        raise DataError("nothing can be measured", path=name, hint="; ".join(whys))
    if every:
        scores.notes += [f"no {metric}: {why}" for metric, why in scores.not_computed.items()]


def document(systems: Sequence[System]) -> dict[str, Any]:
    """The JSON document: per file every metric with value, n, interval, unit and how it is counted."""
    return {"level": LEVEL, "resamples": RESAMPLES, "files": [_file(system) for system in systems]}


def _file(system: System) -> dict[str, Any]:
    groups = {name: _metrics(metrics) for name, metrics in system.groups.items()}
    return {
        "file": system.name,
        "format": system.format,
        "questions": len(system.scores.ids),
        "metrics": _metrics(system.whole),
        **({"groups": groups} if groups else {}),
        "not_computed": system.scores.not_computed,
        "notes": system.scores.notes,
    }


def _metrics(metrics: dict[str, Metric]) -> dict[str, Any]:
    return {name: asdict(metric) for name, metric in metrics.items()}


def tab_separated(systems: Sequence[System]) -> str:
    """One line per file, group and metric, under a header."""
    lines = ["\t".join(COLUMNS)]
    for system in systems:
        for group, metrics in system.parts():
            lines += ["\t".join([system.name, group, *_cells(name, metric)]) for name, metric in metrics.items()]
    return "\n".join(lines) + "\n"


def _cells(name: str, metric: Metric) -> list[str]:
    low, high = ("", "") if metric.interval is None else (f"{end:.4f}" for end in metric.interval)
    return [name, f"{metric.value:.4f}", low, high, str(metric.n), metric.unit, metric.by]


def tables(systems: Sequence[System]) -> Iterator[RenderableType]:
    """One file: a row per metric with its interval and how it is counted. Several: a row per file, the best in bold."""
    if len(systems) == 1 and not systems[0].groups:
        yield _single(systems[0])
    else:
        yield _side_by_side(systems)


def _single(system: System) -> Table:
    from rich.table import Table

    table = Table("metric", title=system.name, title_justify="left")
    table.add_column("value", justify="right")
    table.add_column(f"{LEVEL:.0%} interval", justify="right")
    table.add_column("n", justify="right")
    table.add_column("counted by", style="dim")
    for name, metric in system.whole.items():
        sure = "" if metric.interval is None else " – ".join(_number(end, metric.unit) for end in metric.interval)
        table.add_row(name, _value(metric), sure, f"{metric.n:,}", metric.by)
    return table


def _side_by_side(systems: Sequence[System]) -> Table:
    from rich.table import Table

    names = list(dict.fromkeys(name for system in systems for name in system.whole))
    grouped = any(system.groups for system in systems)
    table = Table()
    table.add_column("file", overflow="fold")
    if grouped:
        table.add_column("group")
    for name in (*names, "n"):
        table.add_column(name, justify="right")
    for system, shown in zip(systems, _short_names(systems), strict=True):
        for group, metrics in system.parts():
            rivals = [dict(other.parts()).get(group, {}) for other in systems]
            cells = [_best(name, metrics.get(name), rivals) for name in names]
            n = f"{max((metric.n for metric in metrics.values()), default=0):,}"
            table.add_row(shown if not group else "", *([group] if grouped else []), *cells, n)
    return table


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


def write_per_question(systems: Sequence[System], path: str) -> None:
    """One line per file and question: its id, text, group and values; a metric that was not measured is left out."""
    with open_output(path) as out:
        for system in systems:
            scores = system.scores
            for row, (name, text, group) in enumerate(zip(scores.ids, scores.texts, scores.groups, strict=True)):
                values = {metric: column[row] for metric, column in scores.values.items() if not isnan(column[row])}
                out.line({"file": system.name, "id": name, "question": text, "group": group, **values})


def show(systems: Sequence[System], output: str, as_json: bool = False) -> None:
    """Write the scores: JSON when asked for, a table on a terminal, else tab-separated values. Notes go to the log."""
    for system in systems:
        for note in system.scores.notes:
            log.info("%s: %s", show_path(system.name), note)
    if as_json:
        write_json(output, document(systems))
    elif output == STANDARD and sys.stdout.isatty():
        from rich.console import Console

        Console().print(*tables(systems))
    else:
        with open_output(output) as out:
            out.write(tab_separated(systems).encode())
