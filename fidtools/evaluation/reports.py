"""Reports of scores: a table on a terminal, tab-separated values, or a JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from typing import Any

from fidtools.console import console, on_terminal
from fidtools.data.files import STANDARD, open_output
from fidtools.data.jsonl import write_json
from fidtools.errors import show_path
from fidtools.evaluation.comparable import other_labels, warning
from fidtools.evaluation.scores import Metric
from fidtools.evaluation.significance import LEVEL, RESAMPLES
from fidtools.evaluation.system import System
from fidtools.logs import log

COLUMNS = ("file", "group", "metric", "value", "low", "high", "n", "unit", "by")


def json_document(systems: Sequence[System]) -> dict[str, Any]:
    """The JSON document: per file every metric with value, n, interval, unit and how it is computed."""
    return {"level": LEVEL, "resamples": RESAMPLES, "files": [_file(system) for system in systems]}


def _file(system: System) -> dict[str, Any]:
    groups = {name: _metrics(metrics) for name, metrics in system.groups.items()}
    return {
        "file": system.name,
        "format": system.format,
        "questions": len(system.scores.ids),
        "metrics": _metrics(system.overall),
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
            head = [cell(system.name), cell(group)]
            lines += ["\t".join([*head, *_cells(name, metric)]) for name, metric in metrics.items()]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """A text among tab-separated values: as JSON, which escapes them, where it has a tab or a line break."""
    return json.dumps(text) if "".join(text.replace("\t", "\n").splitlines()) != text else text


def _cells(name: str, metric: Metric) -> list[str]:
    low, high = ("", "") if metric.interval is None else (f"{end:.4f}" for end in metric.interval)
    return [name, f"{metric.value:.4f}", low, high, str(metric.n), metric.unit, metric.by]


def write_per_question(systems: Sequence[System], path: str) -> None:
    """One line per file and question: its id, text, group and values; metrics that were not measured are absent."""
    with open_output(path) as out:
        for system in systems:
            scores = system.scores
            for row, (name, text, group) in enumerate(zip(scores.ids, scores.texts, scores.groups, strict=True)):
                values = {metric: column[row] for metric, column in scores.values.items() if not isnan(column[row])}
                out.line({"file": system.name, "id": name, "question": text, "group": group, **values})


def write_report(systems: Sequence[System], output: str, as_json: bool = False) -> None:
    """Write the scores: JSON with `as_json`, a table on a terminal, else tab-separated values. Notes are logged."""
    for system in systems:
        for note in system.scores.notes:
            log.info("%s: %s", show_path(system.name), note)
    labels = other_labels([(system.name, system.scores) for system in systems])
    for problem in filter(None, (warning(systems), labels)):
        log.warning("%s", problem)
    if as_json:
        write_json(output, json_document(systems))
    elif output == STANDARD and on_terminal(sys.stdout):
        from fidtools.evaluation.tables import rich_tables

        terminal = console()
        for table in rich_tables(systems, terminal.width):
            terminal.print(table)
    else:
        with open_output(output) as out:
            out.write(tab_separated(systems).encode(errors="surrogateescape"))
